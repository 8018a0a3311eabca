"""A paglet that travels from host to host, reads the files that lie there, and carries home what it found."""
