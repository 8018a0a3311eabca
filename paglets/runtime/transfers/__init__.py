"""Moves between hosts. The decisions are machines without I/O: events in, effects out, time injected."""
