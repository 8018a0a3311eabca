"""State and messages as plain data, and back."""
