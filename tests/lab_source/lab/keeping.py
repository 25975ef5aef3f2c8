"""How results are kept in the store, and that a step was computed is noted."""

import json
import os

from storage.blobs import read_blob
from storage.manifests import put_files, read_manifest
from storage.objects import open_store


def put(kind, files, storage):
    """Store values as JSON files by name; the manifest's digest."""
    return put_files(open_store(storage), kind, {name: json.dumps(value).encode() for name, value in files.items()}, {})


def get(ref, name="value.json"):
    """The value in one file of what `ref` names."""
    store = open_store(ref.uri)
    return json.loads(read_blob(store, read_manifest(store, ref.digest).files[name]))


def note(step):
    """Write down that the work of a step was done."""
    with open(os.environ["LAB_CALLS"], "a") as file:
        file.write(f"{step}\n")
