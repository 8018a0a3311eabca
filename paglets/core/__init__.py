"""Vocabulary of paglets: agents, messages, events, plans, errors. No I/O."""
