"""Does not say for which contract it was made."""
