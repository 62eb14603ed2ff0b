"""Refuses runs that may cost more than a team allows."""
