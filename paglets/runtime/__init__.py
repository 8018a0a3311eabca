"""The host: processes, mailboxes, lifecycle, moves."""
