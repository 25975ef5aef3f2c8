"""A model's name from the URL of its data."""

import posixpath
import re

from storage.errors import ConfigError
from tasks.frames.filesystems import hidden

SAYS_NOTHING = re.compile(r"^(train|training|test|data|dataset|all|images|part|(train|t10k)-images.*)?([-_.0-9]*)$")
SUFFIXES = re.compile(r"(\.[a-z][a-z0-9]{0,7}){1,2}$")


def model_name(url: str) -> str:
    """By the file's or folder's name, or the folder above where that says nothing. ConfigError where none does."""
    path = url.partition("?")[0]
    if "://" not in url:
        path = posixpath.abspath(posixpath.expanduser(path))
    for part in reversed([part for part in path.split("/") if not re.search(r"[*\[]|:$", part)]):
        plain = re.sub(r"[^a-z0-9._-]+", "_", SUFFIXES.sub("", part.lower())).strip("._-")[:64]
        if plain and not SAYS_NOTHING.match(plain):
            return plain
    raise ConfigError(f"name: found nothing in {hidden(url)} to name the model by; give one with --name NAME")
