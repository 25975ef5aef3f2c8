"""When each of our modules was loaded by this process: a file that was written later says nothing of the code that runs here."""

import importlib.machinery
import sys
import time
from collections.abc import Sequence
from types import ModuleType

REACHES = ()  # modules are noted here, and none is looked up
_STARTED = time.time_ns()
_loaded: dict[str, int] = {}


class _Watcher:
    """Stands first among the finders, finds nothing, and notes when each module is looked for: at once before its file is read."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        _loaded[name] = time.time_ns()
        return None


def loaded_ns(module: str) -> int:
    """When the module was loaded, in nanoseconds of the clock; of one that was there before this one, when this one was."""
    return _loaded.get(module, _STARTED)


sys.meta_path.insert(0, _Watcher())  # pyright: ignore[reportArgumentType]  # invalidate_caches is optional
