"""Constants."""

UNUSED = 17
LOWEST = 2
HIGHEST = 90
SCALE = LOWEST * 3 + 4
OFFSETS = {"first": 1, "second": 5}
STEPS = (1, 2, 4)  # how far a candidate moves
SPARE = [UNUSED + 1, 19]
