"""The host's side of a child: its link, its handle, and what it prints."""
