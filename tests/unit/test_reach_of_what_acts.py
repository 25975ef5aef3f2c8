"""Code that runs while modules are loaded, however it is written: an edit of what it registers is seen."""

import importlib
import time

import pytest
from packages import Package, package

__all__ = ["package"]
BASE = "TABLE = {}\ndef put(x): TABLE['g'] = x\n"
REGISTERS = "KINDS = []\nclass Base:\n    def __init_subclass__(cls): KINDS.append(cls)\n"
GENERIC = f"import typing\nT = typing.TypeVar('T')\n{REGISTERS.replace('Base:', 'Base(typing.Generic[T]):')}"
META = "KINDS = []\nclass Own(type):\n    def __init__(cls, *x): KINDS.append(cls)\n"
RUN = "def run(x): return TABLE['g'](x)\n"
LAST = "def run(x): return KINDS[-1]().go(x)\n"
CASES = {
    "map": f"{BASE}def g(x): return x + 1\n_d = list(map(put, [g]))\n{RUN}",
    "sorted by a key": f"{BASE}def g(x): return x + 1\n_d = sorted([g], key=put)\n{RUN}",
    "a method of a table": f"{BASE}def g(x): return x + 1\n_d = TABLE.update(g=g)\n{RUN}",
    "a table of functions": f"{BASE}def g(x): return x + 1\n_d = {{'a': put}}['a'](g)\n{RUN}",
    "map in a class": f"{BASE}def g(x): return x + 1\nclass C:\n    d = list(map(put, [g]))\n{RUN}",
    "partial as a decorator": f"import functools\n{BASE}def put2(n, x): put(x)\n@functools.partial(put2, 'g')\ndef g(x): return x + 1\n{RUN}",
    "setter of an own object": f"{BASE}class R:\n    def setter(self, x): put(x)\nr = R()\n@r.setter\ndef g(x): return x + 1\n{RUN}",
    "a base with a subscript": f"{GENERIC}class Kind(Base[int]):\n    def go(self, x): return x + 1\n{LAST}",
    "a base that is made": f"{REGISTERS}def make(): return Base\nB = make()\nclass Kind(B):\n    def go(self, x): return x + 1\n{LAST}",
    "an alias as base": f"{REGISTERS}B = Base\nclass Kind(B):\n    def go(self, x): return x + 1\n{LAST}",
    "an own metaclass": f"{META}class Kind(metaclass=Own):\n    def go(self, x): return x + 1\n{LAST}",
    "an enum": (
        f"import enum\n{BASE}def g(x): return x + 1\nclass E(enum.Enum):\n    A = 1\n    def __init__(self, n): put(g)\n{RUN}"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_acts_while_it_is_loaded_counts(package: Package, case: str):
    before = package.write({"main.py": CASES[case]}).reach()
    after = package.write({"main.py": CASES[case].replace("x + 1", "x + 2")}).reach()
    assert before.obstacles == after.obstacles == ()
    assert before.digest != after.digest


def test_modules_below_folders_without_an_init_file_count(package: Package):
    files = {
        "main.py": "import PKG.ns.deep.m\ndef run(x): return PKG.ns.deep.m.f(x)\n",
        "ns/deep/m.py": "def f(x): return 1\n",
    }
    before = package.write(files).reach().digest
    assert package.write({**files, "ns/deep/m.py": "def f(x): return 2\n"}).reach().digest != before


def test_a_users_module_with_the_name_of_one_of_pythons_counts_where_it_is_found_first(package: Package):
    beside = package.folder / "statistics.py"
    beside.write_text("def mean(x): return 1\n")
    before = package.write({"main.py": "import statistics\ndef run(x): return statistics.mean(x)\n"}).reach()
    beside.write_text("def mean(x): return 22\n")
    assert "statistics:mean" in before.definitions
    assert package.reach().digest != before.digest


def test_a_statement_that_does_nothing_does_not_count(package: Package):
    before = package.write({"main.py": "class E(Exception): pass\ndef run(x): raise E\n"}).reach().digest
    after = package.write({"main.py": "class E(Exception):\n    'Why.'\ndef run(x): raise E\n"}).reach().digest
    assert before == after


def test_long_expressions_are_followed(package: Package):
    code = "def f(): return 1\ndef run(x): return " + " + ".join(["f()"] * 900) + "\n"
    assert package.write({"main.py": code}).names() == {"main:run", "main:f"}


def test_code_that_was_edited_after_it_was_loaded_and_before_it_was_first_read_is_an_obstacle(package: Package):
    package.write({"main.py": "def run(x): return 1\n"})
    importlib.import_module(f"{package.name}.main")
    time.sleep(0.05)  # longer than a tick of the file system's clock
    package.write({"main.py": "def run(x): return 2\n"})
    (obstacle,) = package.reach().obstacles
    assert "changed after this process had loaded it" in obstacle
