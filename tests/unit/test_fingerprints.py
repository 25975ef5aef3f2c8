"""Fingerprints: they change when the code could behave otherwise, and only then."""

import pytest
from packages import Package, package

__all__ = ["package"]

# What is on disk; then the file, the text in it and what it becomes. `main.py` holds `run`, where all begins.
COUNTS: dict[str, tuple[dict[str, str], str, str, str]] = {
    "a helper": ({"main.py": "def run(x): return add(x)\ndef add(x): return x + 1\n"}, "main.py", "x + 1", "x + 2"),
    "a helper's helper elsewhere": (
        {"main.py": "from PKG.near import add\ndef run(x): return add(x)\n", "near.py": "from . import far\ndef add(x): return far.plus(x)\n", "far.py": "def plus(x): return x + 1\n"},
        "far.py", "x + 1", "x + 1.0",
    ),
    "an import in a function": (
        {"main.py": "def run(x):\n    from PKG import near\n    return near.add(x)\n", "near.py": "def add(x): return x\n"},
        "near.py", "return x", "return -x",
    ),
    "a constant": ({"main.py": "STEP = 1\ndef run(x): return x + STEP\n"}, "main.py", "STEP = 1", "STEP = 2"),
    "a constant of two names": ({"main.py": "A, B = 1, 2\ndef run(x): return x + B\n"}, "main.py", "1, 2", "1, 3"),
    "a constant made of another": ({"main.py": "A = 1\nB = [A]\ndef run(x): return B\n"}, "main.py", "A = 1", "A = 2"),
    "a default": ({"main.py": "def run(x, y=1): return x + y\n"}, "main.py", "y=1", "y=2"),
    "a constant in a default": ({"main.py": "Y = 1\ndef run(x, *, y=Y): return x + y\n"}, "main.py", "Y = 1", "Y = 2"),
    "a closure": ({"main.py": "def make(n):\n    def add(x): return x + n\n    return add\nrun = make(1)\n"}, "main.py", "x + n", "x - n"),
    "a lambda": ({"main.py": "KEY = lambda x: -x\ndef run(x): return sorted(x, key=KEY)\n"}, "main.py", "-x", "+x"),
    "a decorator": ({"main.py": "def twice(f): return lambda x: f(f(x))\n@twice\ndef run(x): return x + 1\n"}, "main.py", "f(f(x))", "f(x)"),
    "a decorator's argument": ({"main.py": "import functools\nN = 1\n@functools.lru_cache(N)\ndef run(x): return x\n"}, "main.py", "N = 1", "N = 2"),
    "a class attribute": ({"main.py": "class A:\n    size = 1\ndef run(x): return A().size\n"}, "main.py", "size = 1", "size = 2"),
    "a method that nobody names": (
        {"main.py": "class A:\n    def f(self): return 1\ndef run(x): return getattr(A(), x)()\n"}, "main.py", "return 1", "return 2",
    ),
    "a base class elsewhere": (
        {"main.py": "from PKG.base import Base\nclass A(Base): pass\ndef run(x): return A().f()\n", "base.py": "class Base:\n    def f(self): return 1\n"},
        "base.py", "return 1", "return 2",
    ),
    "a class in an annotation": ({"main.py": "class A:\n    n = 1\ndef run(x: A): return x.n\n"}, "main.py", "n = 1", "n = 2"),
    "a class in an annotation that is a text": ({"main.py": "def run(x: 'list[A] | None'): return x[0].n\nclass A:\n    n = 1\n"}, "main.py", "n = 1", "n = 2"),
    "what a package exports again": (
        {"main.py": "from PKG.deep import f\ndef run(x): return f(x)\n", "deep/__init__.py": "from PKG.deep.inner import g as f\n", "deep/inner.py": "def g(x): return x\n"},
        "deep/inner.py", "return x", "return -x",
    ),
    "what a star import brings": (
        {"main.py": "from PKG.all import *\ndef run(x): return f(x)\n", "all.py": "from PKG.more import *\n", "more.py": "def f(x): return x\n"},
        "more.py", "return x", "return -x",
    ),
    "a module by its whole path": (
        {"main.py": "import PKG.deep.inner\ndef run(x): return PKG.deep.inner.f(x)\n", "deep/__init__.py": "", "deep/inner.py": "def f(x): return x\n"},
        "deep/inner.py", "return x", "return -x",
    ),
    "a module that is handed on": (
        {"main.py": "from PKG import tools\ndef run(x): return getattr(tools, x)()\n", "tools.py": "def f(): return 1\n"}, "tools.py", "return 1", "return 2",
    ),
    "a program that is started": (
        {"main.py": "import sys\ndef run(x): return [sys.executable, '-m', 'PKG.program', x]\n", "program.py": "def main(): return 1\nif __name__ == '__main__':\n    main()\n"},
        "program.py", "return 1", "return 2",
    ),
    "the program itself": (
        {"main.py": "def run(x): return ['-m', 'PKG.program']\n", "program.py": "def main(n): return n\nif __name__ == '__main__':\n    main(1)\n"},
        "program.py", "main(1)", "main(2)",
    ),
    "a package that is started": (
        {"main.py": "def run(x): return ['-m', 'PKG.deep']\n", "deep/__init__.py": "", "deep/__main__.py": "print(1)\n"}, "deep/__main__.py", "print(1)", "print(2)",
    ),
    "a function that is named by a text": (
        {"main.py": "def run(x): return load('PKG.tools:f')\n", "tools.py": "def f(): return 1\n"}, "tools.py", "return 1", "return 2",
    ),
    "a module imported by its name": (
        {"main.py": "import importlib\ndef run(x): return importlib.import_module('PKG.tools').f()\n", "tools.py": "def f(): return 1\n"},
        "tools.py", "return 1", "return 2",
    ),
    "a module that is declared": (
        {"main.py": "import importlib\nREACHES = ('PKG.tools',)\ndef run(x): return importlib.import_module(x).f()\n", "tools.py": "def f(): return 1\n"},
        "tools.py", "return 1", "return 2",
    ),
    "a function that is registered": (
        {"main.py": "from PKG import passes\nfrom PKG.table import TABLE\ndef run(x): return TABLE['f'](x)\n",
         "table.py": "TABLE = {}\ndef put(f): TABLE[f.__name__] = f; return f\n",
         "passes.py": "from PKG.table import put\n@put\ndef f(x): return x\n"},
        "passes.py", "return x", "return -x",
    ),
    "a function that is registered in passing": (
        {"main.py": "from PKG import passes\nfrom PKG.table import TABLE\ndef run(x): return TABLE['f'](x)\n",
         "table.py": "TABLE = {}\ndef put(f): TABLE[f.__name__] = f\n",
         "passes.py": "from PKG.table import put\ndef f(x): return x\n_done = put(f)\n"},
        "passes.py", "return x", "return -x",
    ),
    "a class that registers itself": (
        {"main.py": "from PKG import kinds\nfrom PKG.base import Base\ndef run(x): return Base.kinds[x]().n\n",
         "base.py": "class Base:\n    kinds = {}\n    def __init_subclass__(cls): Base.kinds[cls.__name__] = cls\n",
         "kinds.py": "from PKG import base\nclass Kind(base.Base):\n    n = 1\n"},
        "kinds.py", "n = 1", "n = 2",
    ),
    "a table that is filled by the module": (
        {"main.py": "from PKG.table import T\ndef run(x): return T\n", "table.py": "T = {}\nfor n in range(3):\n    T[n] = n\n"}, "table.py", "T[n] = n", "T[n] = -n",
    ),
    "a module that is changed by another": (
        {"main.py": "from PKG import near, patch\ndef run(x): return near.f(x)\n", "near.py": "def f(x): return x\n", "patch.py": "from PKG import near\nnear.f = lambda x: -x\n"},
        "patch.py", "-x", "+x",
    ),
    "a change of what a package runs": (
        {"__init__.py": "import os\n", "main.py": "def run(x): return x\n"}, "__init__.py", "import os\n", "import os\nos.environ['X'] = '1'\n",
    ),
    "the order of what runs": (
        {"main.py": "T = []\nT.append(1)\nSNAP = tuple(T)\nT.append(2)\ndef run(x): return SNAP\n"},
        "main.py", "SNAP = tuple(T)\nT.append(2)\n", "T.append(2)\nSNAP = tuple(T)\n",
    ),
    "the order in which modules register": (
        {"main.py": "from PKG import one\nfrom PKG import two\nfrom PKG.table import T\ndef run(x): return T\n", "table.py": "T = []\n",
         "one.py": "from PKG.table import T\nT.append(1)\n", "two.py": "from PKG.table import T\nT.append(2)\n"},
        "main.py", "import one\nfrom PKG import two", "import two\nfrom PKG import one",
    ),
    "a name that is given twice": ({"main.py": "A = 1\nB = A\nA = 2\ndef run(x): return B\n"}, "main.py", "B = A\nA = 2\n", "A = 2\nB = A\n"),
    "an import of another name": ({"main.py": "from math import floor as f\ndef run(x): return f(x)\n"}, "main.py", "floor", "ceil"),
    "two names exchanged": (
        {"main.py": "from PKG.near import f, g\ndef run(x): return f(x) - g(x)\n", "near.py": "def f(x): return x\ndef g(x): return -x\n"},
        "main.py", "import f, g", "import f as g, g as f",
    ),
    "one of Python's names taken": ({"main.py": "def run(x): return max(x)\n"}, "main.py", "def run", "def max(x): return 0\ndef run"),
    "a fallback": (
        {"main.py": "try:\n    from absent import f\nexcept ImportError:\n    from PKG.near import f\ndef run(x): return f(x)\n", "near.py": "def f(x): return x\n"},
        "near.py", "return x", "return -x",
    ),
    "a name that a function sets": (
        {"main.py": "N = 0\ndef run(x):\n    prepare()\n    return N\ndef prepare():\n    global N\n    N = 1\n"}, "main.py", "N = 1", "N = 2",
    ),
    "a module's own lookup": (
        {"main.py": "from PKG import lazy\ndef run(x): return lazy.anything\n", "lazy.py": "def __getattr__(name): return f()\ndef f(): return 1\n"}, "lazy.py", "return 1", "return 2",
    ),
    "a name in a class body that is given there, too": (
        {"main.py": "n = 1\nclass A:\n    m = n\n    n = 3\ndef run(x): return A.m\n"}, "main.py", "n = 1", "n = 2",
    ),
    "a comprehension's source": ({"main.py": "S = [1]\ndef run(x): return [S for S in S]\n"}, "main.py", "S = [1]", "S = [2]"),
    "a pattern": ({"main.py": "class A:\n    N = 1\ndef run(x):\n    match x:\n        case A.N: return 1\n"}, "main.py", "N = 1", "N = 2"),
    "an f-string": ({"main.py": "W = 3\ndef run(x): return f'{x:>{W}}'\n"}, "main.py", "W = 3", "W = 4"),
    "an assertion": ({"main.py": "def run(x):\n    assert x\n"}, "main.py", "assert x", "assert not x"),
    "brackets that group": ({"main.py": "def run(x): return x - 1 - 2\n"}, "main.py", "x - 1 - 2", "x - (1 - 2)"),
}  # fmt: skip

DOES_NOT_COUNT: dict[str, tuple[dict[str, str], str, str, str]] = {
    "a comment": ({"main.py": "def run(x): return x  # x\n"}, "main.py", "# x", "# the same"),
    "a docstring": ({"main.py": "'''Words.'''\ndef run(x):\n    'Words.'\n    return x\n"}, "main.py", "Words", "Other words"),
    "a new docstring": ({"main.py": "class A:\n    n = 1\ndef run(x):\n    return A\n"}, "main.py", "class A:\n", "class A:\n    'Words.'\n"),
    "words below a constant": ({"main.py": "N = 1\ndef run(x):\n    return N\n"}, "main.py", "N = 1\n", "N = 1\n'What N is.'\n"),
    "layout": ({"main.py": "def run(x): return f(x, 1)\ndef f(a, b): return a+b\n"}, "main.py", "f(x, 1)\n", "(\n        f(\n            x,\n            1,\n        )\n    )\n\n\n"),
    "quotation marks": ({"main.py": "def run(x): return 'a' 'b'\n"}, "main.py", "'a' 'b'", '"ab"'),
    "a function beside": ({"main.py": "def run(x): return x\ndef other(x): return x + 1\n"}, "main.py", "x + 1", "x + 2"),
    "a constant beside": ({"main.py": "N = 1\nM = 1\ndef run(x): return N\n"}, "main.py", "M = 1", "M = 2"),
    "a constant beside that calls a library": ({"main.py": "import re\nM = re.compile('a')\ndef run(x): return x\n"}, "main.py", "'a'", "'b'"),
    "a data class beside, and a value of it": (
        {"main.py": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    n: int = 1\nP1 = P(1)\ndef run(x): return x\n"}, "main.py", "P(1)", "P(2)",
    ),
    "a class beside": ({"main.py": "class A:\n    n = 1\ndef run(x): return x.n\n"}, "main.py", "n = 1", "n = 2"),
    "the order of functions": ({"main.py": "def a(): return b()\ndef b(): return 1\ndef run(x): return a()\n"}, "main.py", "def a(): return b()\ndef b(): return 1\n", "def b(): return 1\ndef a(): return b()\n"),
    "the order of imports": ({"main.py": "import os\nimport re\ndef run(x): return re.escape(os.fspath(x))\n"}, "main.py", "import os\nimport re\n", "import re\nimport os\n"),
    "an import that nothing reached uses": ({"main.py": "import os\ndef run(x): return x\ndef f(): return os.name\n"}, "main.py", "import os", "import re, os"),
    "a parameter of the same name": ({"main.py": "N = 1\ndef run(N): return N\n"}, "main.py", "N = 1", "N = 2"),
    "a local name of the same name": ({"main.py": "N = 1\ndef run(x):\n    for N in x: pass\n    return lambda: N\n"}, "main.py", "N = 1", "N = 2"),
    "a loop variable of the same name": ({"main.py": "N = 1\ndef run(x): return {N: N for N in x}\n"}, "main.py", "N = 1", "N = 2"),
    "what a method has of the same name": ({"main.py": "f = 1\nclass A:\n    def g(self, f): return f\ndef run(x): return A().g(x)\n"}, "main.py", "f = 1", "f = 2"),
    "a module that is imported and not used": (
        {"main.py": "from PKG import near\ndef run(x): return x\ndef other(): return near\n", "near.py": "def f(): return 1\n"}, "near.py", "return 1", "return 2",
    ),
    "what only a type checker imports": (
        {"main.py": "import typing\nif typing.TYPE_CHECKING:\n    from PKG.near import A\ndef run(x: 'A'): return x\n", "near.py": "class A:\n    n = 1\n"}, "near.py", "n = 1", "n = 2",
    ),
    "what runs only as a program": (
        {"main.py": "from PKG.near import f\ndef run(x): return f\n", "near.py": "def f(): return 1\nif __name__ == '__main__':\n    print(f())\n"}, "near.py", "print(f())", "print(2)",
    ),
    "a function beside in a module imported by its path": (
        {"main.py": "import PKG.deep.inner\ndef run(x): return PKG.deep.inner.f(x)\n", "deep/__init__.py": "", "deep/inner.py": "def f(x): return x\ndef g(x): return 1\n"},
        "deep/inner.py", "return 1", "return 2",
    ),
    "a type comment": ({"main.py": "def run(x):\n    y = x  # type: int\n    return y\n"}, "main.py", "# type: int", "# type: str"),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_what_could_change_the_result_counts(package: Package, name: str):
    files, file, old, new = COUNTS[name]
    before = package.write(files).reach().digest
    package.replace(file, old, new)
    assert package.reach().digest != before


@pytest.mark.parametrize("name", DOES_NOT_COUNT)
def test_what_cannot_change_the_result_does_not_count(package: Package, name: str):
    files, file, old, new = DOES_NOT_COUNT[name]
    before = package.write(files).reach().digest
    package.replace(file, old, new)
    assert package.reach().digest == before
