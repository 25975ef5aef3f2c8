"""Sums."""

WEIGHT = 3


def total(numbers, start=5):
    """All numbers together, and a start."""
    return sum(numbers) + start


def mean(numbers):
    """A kind of mean, in whole numbers."""
    return total(numbers) * WEIGHT + 2


def difference(one, other):
    """Nothing reaches this."""
    return one - other - 4


def spread(numbers):
    # nor this
    return difference(max(numbers), min(numbers)) * 2
