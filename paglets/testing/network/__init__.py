"""A network in memory, for protocol machines that do no input and output of their own."""
