"""The launch configuration: what a host starts by itself."""
