"""From lines of files to numbers."""

from pathlib import Path

from lab.tables import HIGHEST, LOWEST


def files(data):
    """The sources' files, by name."""
    found = [path for source in data.sources for path in Path(data.root).glob(source.url)]
    return sorted(path for path in found if not path.name.startswith("."))


def read(path):
    """The whole numbers in a file, one a line; what is none is left out."""
    with open(path, "rb") as file:
        return [int(line) for line in file.read().split() if line.isdigit()]


def clean(numbers):
    """Those that are kept, shifted."""
    return [shifted(number) for number in numbers if is_kept(number)]


def is_kept(number, lowest=LOWEST, *, highest=HIGHEST + 5):
    """Whether a number is neither too small nor too large."""
    return lowest <= number < highest


def shifted(number):
    return number * 2 + 1


def dirtied(numbers, dirt=7):
    """Nothing reaches this."""
    return [number - dirt for number in numbers if not is_odd(number)]


def is_odd(number):
    """Nor this."""
    return number % 2 == 1
