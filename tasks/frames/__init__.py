"""From raw rows to a data set: read, check, split, profile, and fit the transforms that `tasks.transforms` applies."""
