"""The first stage: numbers from files, and what is fitted on them."""

from lab import added_up
from lab.cleaning import clean, read
from lab.closures import add_seven
from lab.keeping import get, note, put
from lab.maths import squares
from lab.shapes import Scaler
from lab.tables import SCALE
from storage.refs import DatasetRef, TransformsRef
from tasks.frames.sources import locate
from tasks.policies import step


@step("gather")
def gather(data, identity, storage):
    """All numbers of the files, cleaned."""
    note("gather")
    files = [url for source in data.sources for _, url in locate(data, source)]
    numbers = [number for url in files for number in read(url.removeprefix("file://"))]
    value = {"numbers": clean(numbers), "sum": added_up(numbers), "seed": data.split_seed}
    return DatasetRef(storage, put("dataset", {"value.json": value}, storage))


@step("fit")
def fit(transforms, dataset, storage):
    """What is fitted on the numbers."""
    note("fit")
    numbers = get(dataset)["numbers"]
    curve = transforms.curve.depth * SCALE + round(transforms.curve.bend * 100)
    scaler = Scaler(transforms.width)
    value = {"centre": scaler.centre(numbers), "squares": squares(numbers), "moved": add_seven(curve)}
    return TransformsRef(storage, put("transforms", {"value.json": value}, storage))


def swept(numbers):
    """Nothing reaches this."""
    return clean(numbers)[5:]
