"""Beside the workflow."""

import deep

OFFSET = 4


def scale(x):
    """Scale a number."""
    return deep.lower(x) * 2


def from_import(x):
    return x + 5


def never_called(x):
    return x
