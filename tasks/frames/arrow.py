"""pyarrow.compute as a value of any type: its functions are made when it is imported, where no type checker sees them."""

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
