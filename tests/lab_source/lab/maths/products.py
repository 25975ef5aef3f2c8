"""Products, brought on by a star import."""

FACTOR = 6
SPARE_FACTOR = 13


def squares(numbers):
    """Squares, moved a little."""
    return [number * number + FACTOR for number in numbers]


def cubes(numbers, extra=SPARE_FACTOR):
    """Nothing reaches this."""
    return [number * number * number + extra for number in numbers]
