"""What follows the crash of a paglet: restarts, pauses, and giving up."""
