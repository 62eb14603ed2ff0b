"""Imported inside a function only."""

RATE = 2


def work(x):
    return x * RATE


def idle(x):
    return x
