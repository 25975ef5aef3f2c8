"""Fingerprints: they change when the code could behave otherwise, and only then."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import ConfigError
from storage.fingerprints import fingerprint, libraries, reached

FILES = {
    "__init__.py": "",
    "stage.py": "from PKG.near import add\nimport numpy as np\n\ndef run(x):\n    return add(x, 1)\n",
    "near.py": "from .deep import far\nfrom .deep.inner import CONSTANT\n\ndef add(a, b):\n    from . import late\n    return late.plus(a, b)\n",
    "late.py": "def plus(a, b):\n    return a + b\n",
    "unused.py": "X = 1\n",
    "typed.py": "X = 1\n",
    "deep/__init__.py": "",
    "deep/far.py": "import json\n",
    "deep/inner.py": "CONSTANT = 1\n",
}
Write = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"pkg_{tmp_path.name}".replace("-", "_")
    for file, text in FILES.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PKG", name))
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.fixture
def write(tmp_path: Path, package: str) -> Write:
    """Replace a file's text; its time is set apart, as two writes may fall into one tick of the file system's clock."""

    def replace(file: str, text: str) -> None:
        path = tmp_path / package / file
        later = path.stat().st_mtime_ns + 1_000_000_000 if path.exists() else None
        path.write_text(text.replace("PKG", package))
        if later:
            os.utime(path, ns=(later, later))

    return replace


def of(package: str) -> str:
    return fingerprint(f"{package}.stage", (package,))


def test_every_module_on_the_way_is_reached_and_no_other(package: str):
    names = {name.removeprefix(package) for name in reached(f"{package}.stage", (package,))}
    assert names == {"", ".stage", ".near", ".late", ".deep", ".deep.far", ".deep.inner"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stage.py", FILES["stage.py"].replace("add(x, 1)", "add(x, 2)")),
        ("stage.py", FILES["stage.py"].replace("add(x, 1)", "add(x, 1.0)")),
        ("stage.py", FILES["stage.py"].replace("def run(x)", "def run(x=None)")),
        ("late.py", "def plus(a, b):\n    return a - b\n"),
        ("late.py", "def plus(a, b):\n    return (a - b)\n"),
        ("deep/inner.py", "CONSTANT = 2\n"),
        ("deep/__init__.py", "import os\n"),
        ("__init__.py", "VERSION = 2\n"),
    ],
)
def test_a_change_in_reached_code_changes_it(package: str, write: Write, file: str, text: str):
    before = of(package)
    write(file, text)
    assert of(package) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("late.py", '"""A docstring."""\n\n\ndef plus(a, b):\n    """Adds."""\n    # a comment\n    return (\n        a\n        + b\n    )\n'),
        ("stage.py", "from PKG.near import add\nimport numpy as np\n\n\ndef run(x): return add(x, 1)\n"),
        ("unused.py", "X = 2\n"),
    ],
)  # fmt: skip
def test_comments_layout_docstrings_and_unreached_code_do_not_count(package: str, write: Write, file: str, text: str):
    before = of(package)
    write(file, text)
    assert of(package) == before


def test_a_program_that_is_started_by_name_counts_once_it_is_declared(package: str, write: Write):
    write("stage.py", FILES["stage.py"] + 'REACHES = ("PKG.unused",)\n')
    before = of(package)
    write("unused.py", "X = 2\n")
    assert of(package) != before


@pytest.mark.parametrize("value", ['"PKG.unused"', "[name for name in ()]", "(1,)"])
def test_a_declaration_that_cannot_be_read_is_refused(package: str, write: Write, value: str):
    write("stage.py", f"REACHES = {value}\n")
    with pytest.raises(ConfigError, match="REACHES must be a literal tuple"):
        of(package)


def test_a_declared_module_that_is_not_there_is_named(package: str, write: Write):
    write("stage.py", 'REACHES = ("PKG.gone",)\n')
    with pytest.raises(ConfigError, match=rf"{package}\.gone', named by REACHES in {package}\.stage, has no source"):
        of(package)


def test_what_only_a_type_checker_imports_is_not_reached(package: str, write: Write):
    write("stage.py", "import typing\nif typing.TYPE_CHECKING:\n    import PKG.typed\nelse:\n    import PKG.unused\n")
    names = reached(f"{package}.stage", (package,))
    assert f"{package}.unused" in names
    assert f"{package}.typed" not in names


def test_code_that_is_loaded_keeps_its_fingerprint_when_its_file_changes(package: str, write: Write):
    before = of(package)
    importlib.import_module(f"{package}.late")
    write("late.py", "def plus(a, b):\n    return a - b\n")
    assert of(package) == before


def test_libraries_are_those_that_reached_code_imports_with_public_versions(package: str, write: Write):
    import numpy

    assert libraries(f"{package}.stage", (package,)) == {"numpy": numpy.__version__.partition("+")[0]}
    write("late.py", "def plus(a, b):\n    import sklearn.linear_model\n    import json, yaml\n")
    assert set(libraries(f"{package}.stage", (package,))) == {"numpy", "scikit-learn", "pyyaml"}


def test_the_fingerprint_does_not_depend_on_the_folder(tmp_path: Path):
    answers = set()
    for folder in ("here", "there"):
        (tmp_path / folder / "same").mkdir(parents=True)
        (tmp_path / folder / "same" / "__init__.py").write_text("X = 1\n")
        code = "from storage.fingerprints import fingerprint; print(fingerprint('same', ('same',)))"
        env = {**os.environ, "PYTHONPATH": str(tmp_path / folder)}
        answers.add(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    assert len(answers) == 1


def test_a_known_source_keeps_its_fingerprint_on_every_python_version(package: str, tmp_path: Path):
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "__init__.py").write_text(GOLDEN)
    assert fingerprint("golden", ("golden",)) == "97a98cb718badc51f8c6b288ecd654d5accde59c3e6baf27799c5ab734758bb6"


def test_finding_a_fingerprint_imports_nothing(package: str):
    of(package)
    assert not [name for name in sys.modules if name.startswith(package)]


GOLDEN = '''
"""Syntax whose trees differ between Python 3.11 and 3.13."""
from __future__ import annotations
import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Point(tuple):
    """Type parameters are a field since 3.12."""
    x: int = 1
    y: "float" = -0.5e-3

    async def move(self, /, by: complex = 2j, *rest, scale=..., **more) -> Point | None:
        async with asyncio.timeout(1) as t, t:
            return await self[1:2, ...]


def text(name, width):
    return f"{name!r:>{width}}" f"{{literal}} {name=}" "joined" f" {name:}" + rf"\\d{width:0.3f}{'a' 'b'}" + u"kind"


def match(value):
    match value:
        case {"a": [1, *others], **rest} if others:
            global z; z = lambda *, k=None: (yield)
        case Point(x=0) | None:
            pass
    try:
        return [i async for i in value if (n := i)]
    except* (ValueError, KeyError) as group:
        raise RuntimeError(b"bytes", 10**20, True) from group
'''
