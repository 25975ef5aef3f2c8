"""The small data sets that come with scikit-learn: no download."""

from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import NotFound
from tasks.frames.idx import IMAGE, image_array
from tasks.frames.raw import Raw, with_origin
from tasks.sections import DataSection
from tasks.transforms.items import did_you_mean

NAMES = ("digits", "breast_cancer", "iris", "wine", "diabetes")
DIGITS_SHAPE, DIGITS_MAXIMUM = (8, 8, 1), 16


def count_rows(name: str) -> int:
    """Rows of the set `sklearn:<name>`; NotFound names the sets there are."""
    return len(_load(name).target)


def read(section: DataSection, name: str, start: int, stop: int) -> Raw:
    """Rows `start` to `stop`: a column for each feature (digits: one image), and the class name or number as target."""
    bunch = _load(name)
    data = np.asarray(bunch.data)[start:stop]
    if name.endswith(":digits"):
        size = data.shape[1]
        image = section.features[0] if section.features else IMAGE
        columns: dict[str, Any] = {image: image_array(data.astype(np.uint8).reshape(-1), size)}
    else:
        columns = {feature: pa.array(data[:, i]) for i, feature in enumerate(bunch.feature_names)}
    columns[section.target] = _target(bunch, start, stop)
    return Raw(with_origin(pa.table(columns), name, list(range(start + 1, start + len(data) + 1))))


def _target(bunch: Any, start: int, stop: int) -> pa.Array:
    values = bunch.target[start:stop]
    names = bunch.get("target_names")
    return pa.array(values) if names is None else pa.array([str(names[int(value)]) for value in values], pa.string())


def _load(name: str) -> Any:
    from sklearn import datasets  # half a second that other sources need not spend

    short = name.removeprefix("sklearn:")
    if short not in NAMES:
        raise NotFound(f"scikit-learn's data set {short!r} is none of {', '.join(NAMES)}{did_you_mean(short, NAMES)}")
    return getattr(datasets, f"load_{short}")()
