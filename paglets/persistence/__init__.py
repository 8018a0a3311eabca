"""The durable store of a host: records, journal, blobs, managed files."""
