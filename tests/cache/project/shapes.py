"""Classes."""


class Shape:
    """A shape."""

    unit = "m"

    def double(self):
        return self.size() * 2


class Square(Shape):
    """A square."""

    corners = 4

    def __init__(self, side):
        self.side = side

    def size(self):
        return self.side**2

    def area(self):
        """Return the area."""
        return self.size()

    @property
    def border(self):
        return self.side * self.corners

    @staticmethod
    def name():
        return "square"
