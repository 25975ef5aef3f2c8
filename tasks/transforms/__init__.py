"""Applying fitted transforms: what a user has → arrays for the model, and the model's outputs → what a user wants.

Training, evaluation and the service all go through `Transforms`, so what serves does exactly what trained. Parameters come
from `transforms.json` (and `tokenizer.json`), which `tasks.frames.fitting` writes. numpy only; tokenizers where there is text, and
Pillow where an image file comes.
"""

from tasks.transforms.items import ItemError
from tasks.transforms.transforms import Transforms

__all__ = ["ItemError", "Transforms"]
