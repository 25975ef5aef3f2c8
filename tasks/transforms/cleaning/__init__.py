"""Cleaning that changes values: in stage prepare over whole columns, in the service and in batch prediction over what clients send.

`Cleaning` is what `transforms.json` says of it. What it does is in the other files, which need pyarrow and are loaded where there is a pass.
"""

from tasks.transforms.cleaning.cleaning import NO_CLEANING, Cleaning

__all__ = ["NO_CLEANING", "Cleaning"]
