"""What hosts sign for each other: envelope headers, trailers, verdicts. Sans-I/O; every byte is hostile."""
