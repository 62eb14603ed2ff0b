"""A module of the package."""

from . import top


def below(x):
    return top(x) + 8
