"""What runs inside a child process: one paglet, its hooks, its messages, its context."""
