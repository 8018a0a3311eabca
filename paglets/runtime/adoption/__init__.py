"""Copies that operators adopt: taking them back, and what has to be done until all copies have met."""
