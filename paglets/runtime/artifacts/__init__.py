"""Artifacts as a host takes, gives and keeps them."""
