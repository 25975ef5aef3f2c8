"""The first stage: numbers from files, and what is fitted on them."""

from lab import added_up
from lab.cleaning import clean, files, read
from lab.closures import add_seven
from lab.keeping import get, note, put
from lab.maths import squares
from lab.shapes import Scaler
from lab.tables import SCALE
from storage.refs import DatasetRef, TransformsRef
from tasks.policies import step


@step("gather")
def gather(data, identity, storage):
    """All numbers of the files, cleaned."""
    note("gather")
    numbers = [number for path in files(data) for number in read(path)]
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
