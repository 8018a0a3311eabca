"""One-way messages for hosts that are away, and what becomes of those that cannot be delivered."""
