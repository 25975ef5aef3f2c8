"""A laboratory: a made-up project of somebody's, whose steps grow numbers. Its files are what the tests of mutations change."""

from lab.maths import total as added_up

EDITION = 3

__all__ = ["EDITION", "added_up"]
