"""Project modules as source files: where each lies, and what it imports. Nothing is imported to find out.

Imports inside functions count. A module that starts others as programs or imports them by name declares these, as
`REACHES = ("tasks.nn.trainer",)`: a string handed to `python -m` or `importlib` cannot be seen here.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from storage.errors import ConfigError
from storage.keys import encode
from storage.syntax import normalised


@dataclass(frozen=True)
class Source:
    """One module. `digest`: of its normalised syntax tree; `imports`: dotted names, perhaps of attributes; `reaches`: declared."""

    digest: str
    imports: frozenset[str]
    reaches: tuple[str, ...]


_read: dict[Path, tuple[tuple[int, int], Source]] = {}


def source_file(module: str) -> Path | None:
    """The file of a dotted module name, `__init__.py` for a package; None if there is none."""
    top, *rest = module.split(".")
    for folder in _folders(top, tuple(sys.path)):
        path = Path(folder, *rest)
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


@cache
def _folders(top: str, _path: tuple[str, ...]) -> tuple[str, ...]:
    """Where a top-level package lies, under this `sys.path`. Finding one runs no code of it."""
    spec = importlib.util.find_spec(top)
    return tuple((spec.submodule_search_locations if spec else None) or ())


def read_source(module: str, path: Path) -> Source:
    """What `path` holds. A module that this process has loaded keeps its first reading: that is the code that runs here."""
    status = path.stat()
    mark = (status.st_mtime_ns, status.st_size)
    known = _read.get(path)
    if known and (known[0] == mark or getattr(sys.modules.get(module), "__file__", None) == str(path)):
        return known[1]
    source = _parse(module, path)
    _read[path] = (mark, source)
    return source


def _parse(module: str, path: Path) -> Source:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ConfigError(f"module {module}: line {error.lineno} is no Python ({error.msg}); correct it") from error
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imports = frozenset(name for node in _running(tree) for name in _imported(node, package))
    digest = hashlib.sha256(encode(normalised(tree))).hexdigest()
    return Source(digest, imports, _declared(module, tree))


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in (
            getattr(node.test, "id", ""),
            getattr(node.test, "attr", ""),
        ):
            for other in node.orelse:
                yield other
                yield from _running(other)
            continue
        yield node
        yield from _running(node)


def _imported(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    parents = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
    base = ".".join([*parents, *([node.module] if node.module else [])])
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def _declared(module: str, tree: ast.Module) -> tuple[str, ...]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "REACHES" for target in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                value = None
            if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
                raise ConfigError(f"module {module}: REACHES must be a literal tuple of dotted module names")
            return value
    return ()
