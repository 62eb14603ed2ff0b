"""A helper's helper."""


class DeepError(ValueError):
    """Raised far below."""

    code = 8


def lower(x):
    return x - deepest(x)


def deepest(x):
    return x + 6
