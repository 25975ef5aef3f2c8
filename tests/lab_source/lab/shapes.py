"""A small hierarchy of classes."""


class Shape:
    """What all shapes have."""

    margin = 2
    sides = 4

    def __init__(self, width):
        self.width = width

    def centre(self, numbers):
        """Where the numbers lie."""
        return sum(numbers) - self.margin + self.offset()

    def offset(self):
        return 1


class Circle(Shape):
    """Nothing reaches this."""

    radius = 4

    def offset(self):
        return self.radius * 2


class Scaler(Shape):
    """The one that is fitted."""

    sides = 6

    def offset(self):
        """Of this one."""
        return self.width * self.sides + 3
