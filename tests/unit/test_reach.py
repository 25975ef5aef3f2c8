"""What a step reaches: definitions, libraries, obstacles; the same in every process, and found out quickly."""

import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import ROOT
from packages import Package, package

from storage.errors import ConfigError
from storage.fingerprints import reach

__all__ = ["package"]


def test_it_says_which_definitions_it_covers(package: Package):
    package.write(
        {
            "main.py": "from PKG.near import add, far\nimport numpy as np\nM = 2\nN = 1\ndef run(x): return add(x, np, N)\ndef other(): return far\n",
            "near.py": "def add(*x): return x\ndef far(): return 1\nprint(add())\n",
        }
    )
    wanted = {"main:run", "main:add", "main:np", "main:N", "near:add", "near:(import)"}
    assert package.names() == wanted


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("def run(x): exec(x)", "exec"),
        ("def run(x): return eval(x)", "eval"),
        ("import builtins\ndef run(x): return builtins.compile(x, '', 'exec')", "compile"),
        ("def run(x): return f(x)\ndef f(x): return globals()[x]", "globals"),
        ("def run(x): return x.__class__.__subclasses__()", "__subclasses__"),
        ("def run(x): return __import__(x)", "__import__"),
        ("from importlib import import_module as load\ndef run(x): return load(x)", "import_module"),
        ("def run(x):\n    import runpy\n    return runpy.run_path(x)", "run_path"),
        ("import sys\ndef run(x): return getattr(sys.modules[__name__], x)", "sys.modules"),
        ("import pkgutil\ndef run(x): return list(pkgutil.iter_modules(x))", "iter_modules"),
    ],
)
def test_what_cannot_be_read_is_an_obstacle_that_is_named(package: Package, code: str, word: str):
    found = package.write({"main.py": f"{code}\n"}).reach().obstacles
    assert len(found) == 1
    assert found[0].startswith(f"{package.name}.main, line ")
    assert word in found[0]


@pytest.mark.parametrize(
    "code",
    [
        "import re\ndef run(x): return re.compile(x)",
        "def run(model): return model.eval()",
        "def run(x): return x\ndef other(x): exec(x)",
        "def run(exec): return exec()",
        "import importlib\nREACHES = ('PKG.main',)\ndef run(x): return importlib.import_module(x)",
    ],
)
def test_what_only_looks_like_an_obstacle_or_is_not_reached_is_none(package: Package, code: str):
    assert package.write({"main.py": f"{code}\n"}).reach().obstacles == ()


def test_a_declaration_does_not_excuse_code_that_is_made(package: Package):
    package.write({"main.py": "REACHES = ()\ndef run(x): exec(x)\n"})
    assert "exec() runs or finds what cannot be read beforehand" in package.reach().obstacles[0]


@pytest.mark.parametrize("value", ['"PKG.unused"', "[name for name in ()]", "(1,)"])
def test_a_declaration_that_cannot_be_read_is_refused(package: Package, value: str):
    package.write({"main.py": f"REACHES = {value}\ndef run(x): return x\n"})
    with pytest.raises(ConfigError, match="REACHES must be a literal tuple"):
        package.reach()


def test_a_declared_module_that_is_not_there_is_named(package: Package):
    package.write({"main.py": "REACHES = ('PKG.gone',)\ndef run(x): return x\n"})
    with pytest.raises(ConfigError, match=rf"{package.name}\.gone', named by REACHES in {package.name}\.main, has no"):
        package.reach()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("gone:run", r"\.gone' has no Python source"),
        ("main:gone", "has no 'gone'; correct the name"),
        ("bad", "line 2 .*no Python"),
    ],
)
def test_an_entry_that_is_not_there_is_named(package: Package, entry: str, message: str):
    package.write({"main.py": "def run(x): return x\n", "bad.py": "x = 1\ndef f(:\n"})
    with pytest.raises(ConfigError, match=message):
        package.reach(entry)


def test_code_that_is_loaded_keeps_its_fingerprint_when_its_file_changes(package: Package):
    package.write({"main.py": "from PKG import late\ndef run(x): return late.f()\n", "late.py": "def f(): return 1\n"})
    before = package.reach().digest
    importlib.import_module(f"{package.name}.late")
    package.replace("late.py", "1", "2")
    assert package.reach().digest == before


def test_a_file_that_appears_is_found(package: Package):
    package.write({"main.py": "def run(x):\n    from PKG import late\n    return late.f()\n"})
    before = package.reach().digest
    package.write({"late.py": "def f(): return 1\n"})
    assert package.reach().digest != before


def test_threads_that_ask_at_the_same_time_get_the_same_answer(package: Package):
    names = [f"f{number}" for number in range(3000)]
    package.write({"main.py": f"def run(): return {', '.join(names)}\n" + "".join(f"{name} = 1\n" for name in names)})
    package.reach("main:f0")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: len(package.names()), range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert found == [3001] * 8


def test_finding_a_fingerprint_imports_nothing(package: Package):
    package.write({"main.py": "from PKG import near\ndef run(x): return near.f()\n", "near.py": "def f(): return 1\n"})
    package.reach()
    assert not [name for name in sys.modules if name.startswith(package.name)]


def test_libraries_are_those_whose_names_are_reached_with_public_versions(package: Package):
    import numpy

    package.write(
        {
            "main.py": "import numpy as np, yaml, json\nimport psutil\nfrom PKG import near\n"
            "def run(x): return np.sum(x), near.f()\ndef other(): return yaml, json, psutil\n",
            "near.py": "def f():\n    from sklearn import svm\n    return svm\ndef g():\n    import torch\n",
        }
    )
    assert package.reach().libraries["numpy"] == numpy.__version__.partition("+")[0]
    assert set(package.reach().libraries) == {"numpy", "scikit-learn"}
    package.replace("main.py", "return yaml, json, psutil", "return yaml, json")
    assert set(package.reach().libraries) == {"numpy", "scikit-learn", "psutil"}  # imported for what loading it does


def test_another_version_of_a_library_is_seen_at_once(package: Package):
    package.write({"main.py": "import lib\ndef run(x): return lib.f(x)\n"})
    info = package.folder / "lib-1.0.dist-info"
    info.mkdir()
    (info / "top_level.txt").write_text("lib\n")
    for version in ("1.0+cpu", "1.1+cpu"):
        (info / "METADATA").write_text(f"Name: Lib_X\nVersion: {version}\n\nVersion: 7\n")
        assert package.reach().libraries == {"lib-x": version.partition("+")[0]}


def test_own_modules_beside_are_followed_without_being_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ownrows.py").write_text("import ownunits, numpy\ndef tidy(rows): return ownunits.scale(numpy, rows)\n")
    (tmp_path / "ownunits.py").write_text("def scale(n, rows): return rows\ndef other(): return 1\n")
    before = reach("ownrows:tidy")
    assert set(before.definitions) == {"ownrows:tidy", "ownrows:ownunits", "ownrows:numpy", "ownunits:scale"}
    assert set(before.libraries) == {"numpy"}
    (tmp_path / "ownunits.py").write_text("def scale(n, rows): return rows\ndef other(): return 2\n")
    assert reach("ownrows:tidy") == before
    (tmp_path / "ownunits.py").write_text("def scale(n, rows): return rows[1:]\n")
    assert reach("ownrows:tidy").digest != before.digest


def test_own_code_without_its_source_is_an_obstacle(package: Package):
    package.write(
        {"main.py": "from PKG import fast\ndef run(x): return fast.f(x)\n", "fast.cpython-311-x86_64-linux-gnu.so": ""}
    )
    assert "fast is there without its Python source" in package.reach().obstacles[0]


SAYS = "import sys; from storage.fingerprints import reach; r = reach(*sys.argv[1:]); print(r.digest, sorted(r.libraries.items()))"


def said(*entries: str, python: str = sys.executable, folder: Path, root: Path | str = "", **env: str) -> str:
    """What a fresh process says of these entries, in which modules of `folder` can be found."""
    surroundings = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "MILLRACE_ROOT": str(root or folder / "none"),
        **env,
    }
    return subprocess.run(
        [python, "-c", SAYS, *entries], env=surroundings, capture_output=True, check=True, text=True, cwd=folder
    ).stdout


def test_the_fingerprint_depends_neither_on_the_folder_nor_on_the_process(tmp_path: Path):
    answers = set()
    for folder, seed in (("here", "1"), ("there", "2")):
        (tmp_path / folder / "same").mkdir(parents=True)
        (tmp_path / folder / "same" / "__init__.py").write_text(GOLDEN)
        answers.add(said("same", "tasks.training:train", folder=tmp_path / folder, PYTHONHASHSEED=seed))
    assert len(answers) == 1


@pytest.mark.parametrize("damage", ["none", "gone", "cut", "flipped", "of another version"])
def test_what_is_remembered_never_makes_a_wrong_answer(tmp_path: Path, damage: str):
    (tmp_path / "root").mkdir()
    (tmp_path / "own.py").write_text("def f(): return 1\n")
    fresh = said("own:f", folder=tmp_path)
    assert said("own:f", folder=tmp_path, root=tmp_path / "root") == fresh
    memo = tmp_path / "root" / "memos" / "code.json"
    content = memo.read_bytes()
    if damage == "gone":
        memo.unlink()
    elif damage != "none":
        changes = {
            "cut": content[:-9],
            "flipped": content.replace(b"own", b"oxn"),
            "of another version": b'{"summaries":7}',
        }
        memo.write_bytes(changes[damage])
    assert said("own:f", folder=tmp_path, root=tmp_path / "root") == fresh
    (tmp_path / "own.py").write_text("def f(): return 2\n")  # of the same size, perhaps in the same tick of the clock
    assert said("own:f", folder=tmp_path, root=tmp_path / "root") == said("own:f", folder=tmp_path) != fresh


def test_without_a_data_root_none_is_made(tmp_path: Path):
    (tmp_path / "own.py").write_text("def f(): return 1\n")
    said("own:f", folder=tmp_path, root=tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_known_source_keeps_its_fingerprint_on_every_python_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "__init__.py").write_text(GOLDEN)
    assert (
        reach("golden", packages=("golden",)).digest
        == "111ea62df61e829d0a7d01bcecc17ffb17303cb6110da61719bcf75d7c1fc206"
    )


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
