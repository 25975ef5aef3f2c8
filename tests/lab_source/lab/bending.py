"""A function under a decorator with an argument."""

from lab.wrapping import plus


@plus(4)
def bent(number):
    """Bent, and then more."""
    return number - 3
