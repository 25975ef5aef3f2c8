"""Numbers within bounds, and constants for what is missing."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tasks.transforms.cleaning.arrow import pc


def clipped(values: Any, step: Mapping[str, Any]) -> Any:
    """Numbers from `minimum` to `maximum` (either may be None); what is missing stays so."""
    for bound, nearest in ((step["minimum"], pc.max_element_wise), (step["maximum"], pc.min_element_wise)):
        if bound is not None:
            values = nearest(values, pa.scalar(bound).cast(values.type), skip_nulls=False)
    return values


def filled(values: Any, step: Mapping[str, Any]) -> Any:
    """`value` where none is."""
    return pc.fill_null(values, pa.scalar(step["value"]).cast(values.type))
