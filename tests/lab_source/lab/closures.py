"""Functions that make functions."""


def adder(amount):
    """A function that adds."""
    bonus = 3

    def add(number):
        return number + amount + bonus + 1

    return add


add_seven = adder(7)
