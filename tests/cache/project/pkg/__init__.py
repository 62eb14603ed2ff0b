"""A package of the project."""


def top(x):
    return x + 7
