"""Cleaning in stage prepare: `data.passes` over the checked rows of a shard, in order. What changes values is in `tasks.transforms.cleaning`."""

from tasks.frames.cleaning.binding import bind, changes_of
from tasks.frames.cleaning.running import clean, without_personal

__all__ = ["bind", "changes_of", "clean", "without_personal"]
