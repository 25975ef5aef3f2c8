"""Words, which a step imports only when it needs them."""

WIDTH = 6
MOTTO = "grown with care"


def told(name, weight):
    """A line about the winner."""
    return f"{name} {weight:>{WIDTH}} {MOTTO}"


def untold(name):
    """Nothing reaches this."""
    return name * 3
