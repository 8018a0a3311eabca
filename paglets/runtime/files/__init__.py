"""Files that are registered to travel with paglets."""
