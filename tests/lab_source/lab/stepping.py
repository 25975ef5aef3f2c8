"""A closure that is made while a step runs."""


def stepper(size, extra=2):
    """A function that goes on by `size`."""
    bonus = 3

    def move(number):
        # what is moved
        return number + size * extra + bonus

    return move


def sleeper(size):
    """Nothing reaches this."""

    def rest(number):
        return number - size - 1

    return rest
