"""Random small packages, and what they compute: what fingerprints are held to."""

import ast
import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULES = 4
DEFINITIONS = 5  # of each module
_PLAIN = (
    "{name} = {n}",
    "{name} = {n} + {use}",
    "{name}, {name}b = {use}, {n}",
    "{name} = [{n}, {use}][{n} % 2]",
    "{name} = int('{n}' f\"{{{use} % 7}}\")",
    "{name} = {use}\n{name} = {name} + {n}",
    "{name} = {use}\n{name} += {n}",
    "try:\n    {name} = {use} // ({n} % 3)\nexcept ZeroDivisionError:\n    {name} = {n}",
    "if {use} % 2:\n    {name} = {n}\nelse:\n    {name} = {use}",
    "{name} = 0\nfor i in range({n} % 5):\n    {name} += i + {use}",
    "{name} = sum([i * {n} for i in range(3)]) + {use}",
    "{name}s = {{}}\n{name}s['a'] = {n}\n{name} = sum({name}s.values()) + {use}\n{name}s['b'] = {n}",
    "class {name}c:\n    a = {n}\n    b = {use}\n{name} = {name}c.a + {name}c.b",
)
_CALLED = (
    "def {name}(x={n}):\n    return x + {use}",
    "def {name}(x={use}, *, y={n}):\n    return x * 2 + y",
    "def {name}():\n    def inner(y):\n        return y + {use}\n    return inner({n})",
    "def {name}():\n    return (lambda x: x - {use})({n})",
    "def {name}():\n    return sum(i for i in range({n} % 9)) + {use}",
    "{name} = lambda x={n}: x ^ {use}",
    "class {name}c:\n    a = {n}\n    def m(self):\n        return self.a + {use}\ndef {name}():\n    return {name}c().m()",
    "class {name}d:\n    def m(self):\n        return {n}\nclass {name}c({name}d):\n    def k(self):\n        return self.m() + {use}\ndef {name}():\n    return getattr({name}c(), 'k')()",
    "class {name}c:\n    @property\n    def p(self):\n        return {n} + {use}\n    @staticmethod\n    def s(x={n}):\n        return x\ndef {name}():\n    return {name}c().p + {name}c.s()",
    "def {name}w(f):\n    return lambda: f() + {n}\n@{name}w\ndef {name}():\n    return {use}",
    "{name}t = {{}}\ndef {name}r(f):\n    {name}t[f.__name__] = f\n    return f\n@{name}r\ndef {name}f():\n    return {n}\ndef {name}():\n    return {name}t['{name}f']() + {use}",
    "class {name}b:\n    kinds = []\n    def __init_subclass__(cls):\n        {name}b.kinds.append(cls.n)\nclass {name}k({name}b):\n    n = {n}\ndef {name}():\n    return sum({name}b.kinds) + {use}",
    "{name}g = {n}\ndef {name}s():\n    global {name}g\n    {name}g = {n} + {use}\ndef {name}():\n    {name}s()\n    return {name}g",
    "import functools\n@functools.cache\ndef {name}(x={n}):\n    return x + {use}",
    "from dataclasses import dataclass\n@dataclass\nclass {name}c:\n    a: int = {n}\ndef {name}(x: '{name}c | None' = None):\n    return (x or {name}c()).a + {use}",
    "def {name}(x={n}):\n    match x % 3:\n        case 0:\n            return {use}\n        case y:\n            return y + {n}",
)
_IMPORTS = (
    ("from PKG.{module} import {symbol}", "{symbol}"),
    ("from PKG.{module} import {symbol} as {symbol}x", "{symbol}x"),
    ("from .{module} import {symbol}", "{symbol}"),
    ("import PKG.{module}", "PKG.{module}.{symbol}"),
    ("from PKG import {module}", "{module}.{symbol}"),
    ("from . import {module} as other_{module}", "other_{module}.{symbol}"),
    ("from PKG.{module} import *", "{symbol}"),
    ("from PKG.exports import {symbol}", "{symbol}"),
    ("import importlib", "importlib.import_module('PKG.{module}').{symbol}"),
    ("from PKG import {module}", "getattr({module}, '{symbol}')"),
)


class Program:
    """The files of a random package; `main.run()` is a number."""

    def __init__(self, seed: int, name: str) -> None:
        self.random, self.name = random.Random(seed), name
        self.known: list[tuple[str, str, bool]] = []  # module, symbol, whether it is called
        self.files = {f"m{number}.py": self._module(f"m{number}") for number in range(MODULES)}
        self.files["main.py"] = self._module("main", last="def run():\n    return {use} + {use} * 3 + {n}")
        again = "".join(f"from PKG.{module} import {symbol}\n" for module, symbol, _ in self.known if module != "main")
        self.files |= {"__init__.py": "", "exports.py": again}
        self.files = {file: text.replace("PKG", name) for file, text in self.files.items()}

    def result(self) -> str:
        """What `main.run()` gives in this process, or how it fails; nothing of it stays loaded."""
        importlib.invalidate_caches()
        try:
            return repr(importlib.import_module(f"{self.name}.main").run())
        except Exception as error:  # noqa: BLE001  whatever a mutation made of it
            return type(error).__name__
        finally:
            for module in [m for m in sys.modules if m.partition(".")[0] == self.name]:
                del sys.modules[module]

    def write(self, folder: Path) -> None:
        """Write all files."""
        for file, text in self.files.items():
            (folder / self.name / file).write_text(text)

    def _module(self, module: str, last: str = "") -> str:
        imports: dict[str, None] = {}
        texts = []
        for number in range(DEFINITIONS + bool(last)):
            is_last = last and number == DEFINITIONS
            called = self.random.random() < 0.6
            template = last if is_last else self.random.choice(_CALLED if called else _PLAIN)
            symbol = f"{module}_{number}"
            while "{use}" in template:
                template = template.replace("{use}", self._use(module, imports), 1)
            while "{n}" in template:
                template = template.replace("{n}", str(self.random.randint(1, 99)), 1)
            texts.append(template.replace("{name}", symbol).replace("{{", "{").replace("}}", "}"))
            self.known.append((module, symbol, called))
        return "\n".join([*imports, *texts]) + "\n"

    def _use(self, module: str, imports: dict[str, None]) -> str:
        if not self.known or self.random.random() < 0.15:
            return str(self.random.randint(1, 99))
        of, symbol, called = self.random.choice(self.known[-3 * DEFINITIONS :])
        expression = symbol
        if of != module:
            statement, expression = self.random.choice(
                _IMPORTS if module == "main" else [i for i in _IMPORTS if "exports" not in i[0]]
            )
            imports[statement.format(module=of, symbol=symbol)] = None
            expression = expression.format(module=of, symbol=symbol)
        return expression + "()" * called


def mutate(program: Program, choice: random.Random) -> str:
    """Change one file of a program somehow; what was done, in words."""
    file = choice.choice(sorted(set(program.files) - {"__init__.py"}))
    changes: list[Callable[[str, random.Random], str]] = [_number, _number, _number, _sign, _swap, _name, _without]
    change = choice.choice(changes)
    program.files[file] = change(program.files[file], choice)
    return f"{change.__name__} in {file}"


def decorate(program: Program, choice: random.Random) -> str:
    """Change one file of a program in a way that cannot change what it computes; what was done, in words."""
    file = choice.choice(sorted(program.files))
    is_whole = any(f"getattr({file[:-3]}," in text or f"{file[:-3]}')" in text for text in program.files.values())
    change = choice.choice([_comments, _docstrings, _layout, *([] if is_whole else [_unreached])])
    program.files[file] = change(program.files[file], choice)
    return f"{change.__name__} in {file}"


def _number(text: str, choice: random.Random) -> str:
    return _changed(
        text,
        choice,
        ast.Constant,
        lambda node: isinstance(node.value, int),
        lambda node: setattr(node, "value", node.value + 1),
    )


def _sign(text: str, choice: random.Random) -> str:
    return _changed(
        text, choice, ast.BinOp, lambda node: isinstance(node.op, ast.Add), lambda node: setattr(node, "op", ast.Sub())
    )


def _name(text: str, choice: random.Random) -> str:
    """One name exchanged for another of the file."""
    names = sorted({node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)})
    return _changed(text, choice, ast.Name, lambda node: True, lambda node: setattr(node, "id", choice.choice(names)))


def _changed(
    text: str, choice: random.Random, kind: type, fits: Callable[[Any], bool], change: Callable[[Any], None]
) -> str:
    tree = ast.parse(text)
    found = [node for node in ast.walk(tree) if isinstance(node, kind) and fits(node)]
    if found:
        change(choice.choice(found))
    return ast.unparse(tree) + "\n"


def _swap(text: str, choice: random.Random) -> str:
    """Two neighbouring statements exchanged."""
    tree = ast.parse(text)
    if len(tree.body) > 1:
        at = choice.randrange(len(tree.body) - 1)
        tree.body[at : at + 2] = reversed(tree.body[at : at + 2])
    return ast.unparse(tree) + "\n"


def _without(text: str, choice: random.Random) -> str:
    """One statement less."""
    tree = ast.parse(text)
    if tree.body:
        del tree.body[choice.randrange(len(tree.body))]
    return ast.unparse(tree) + "\n"


def _comments(text: str, choice: random.Random) -> str:
    return "".join(f"{line}  # {choice.random()}\n" for line in text.splitlines())


def _docstrings(text: str, choice: random.Random) -> str:
    tree = ast.parse(text)
    for node in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef))]:
        node.body.insert(0, ast.Expr(ast.Constant(f"Words {choice.random()}.")))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _layout(text: str, choice: random.Random) -> str:
    return ast.unparse(ast.parse(text)).replace("\n", "\n\n" if choice.random() < 0.5 else "\n") + "\n\n\n"


def _unreached(text: str, choice: random.Random) -> str:
    number = choice.randrange(10**6)
    return (
        text
        + f"def unreached{number}(x={number}):\n    return x\nUNREACHED{number} = ({number}, 'words')\nclass Unreached{number}:\n    n = {number}\n"
    )
