"""Mutations of the laboratory's code: each is drawn, written into its files, and says what must follow from it."""

import ast
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from laboratory import Laboratory

STEPS = {
    "G": ("gather",),
    "F": ("fit",),
    "T": ("train",),
    "S": ("shrink a", "shrink b"),
    "P": ("pick",),
    "A": ("announce",),
}
# Which steps reach a definition, by hand; what is not here no step reaches. A definition whose making runs code that may have an effect
# counts for all that load its module.
REACHED = {
    "lab.maths.sums": {"WEIGHT": "T", "total": "GT", "mean": "T"},
    "lab.maths.products": {"FACTOR": "F", "squares": "F"},
    "lab.tables": {"LOWEST": "GF", "HIGHEST": "G", "SCALE": "F", "OFFSETS": "T", "STEPS": "S"},
    "lab.cleaning": {"files": "G", "read": "G", "clean": "G", "is_kept": "G", "shifted": "G"},
    "lab.keeping": {"put": "GFTSPA", "get": "FTSPA", "note": "GFTSPA"},
    "lab.shapes": {"Shape": "F", "Scaler": "F"},
    "lab.closures": {"adder": "GF", "add_seven": "GF"},
    "lab.stepping": {"stepper": "S"},
    "lab.wrapping": {"plus": "TS"},
    "lab.bending": {"bent": "TS"},
    "lab.rules": {"RULES": "TS", "rule": "TS", "steep": "TS", "flat": "TS"},
    "lab.scoring": {"BONUS": "P", "Score": "P", "scored": "P", "best_of": "P"},
    "lab.words": {"WIDTH": "A", "MOTTO": "A", "told": "A"},
    "lab.preparing": {"gather": "G", "fit": "F"},
    "lab.learning": {"LICENSE": "S", "train": "T", "shrink": "S"},
    "lab.judging": {"pick": "P", "announce": "A"},
}
AT_IMPORT = {"lab.bending:bent", "lab.rules:steep", "lab.rules:flat"}  # under decorators, so part of what loading runs
MOTTO = "grown with care"  # the one text that may be any other
DECORATORS = {"plus", "minus", "rule"}
OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+")}
# Changes of how the pieces hang together: module, text, what it becomes, the steps that reach it, what the reason names.
WIRING = (
    ("lab.shapes", "class Scaler(Shape)", "class Scaler(Circle)", "F", "lab.shapes:Scaler"),
    ("lab.shapes", "    sides = 6\n", "    sides = 6\n\n    def centre(self, numbers):\n        return ??\n", "F", "lab.shapes:Scaler"),
    ("lab.bending", "@plus(4)\n", "", "TS", "lab.bending:"),
    ("lab.bending", "@plus(4)\n", "@plus(4)\n@plus(??)\n", "TS", "lab.bending:(import)"),
    ("lab.cleaning", "def shifted", "import functools\n\n\n@functools.cache\ndef shifted", "G", "lab.cleaning:shifted"),
    ("lab.preparing", "import squares", "import cubes as squares", "F", "lab.preparing:squares"),
    ("lab.maths", "import total as total", "import spread as total", "G", "lab.maths:total"),
    ("lab.scoring", "import quill\n", "import quill\n\n\ndef max(*names, key):\n    return names[0][0]\n", "P", "lab.scoring:max"),
    ("lab.cleaning", "return number * 2", "from lab.tables import SPARE\n\n    return SPARE[0] + number * 2", "G", "lab.tables:SPARE is reached now"),
    ("lab.rules", "@rule\ndef flat", "@rule\ndef wavy(number):\n    return number - ??\n\n\n@rule\ndef flat", "TS", "lab.rules:(import)"),
    ("lab.tables", "SCALE = LOWEST * 3 + 4", "SCALE = UNUSED + ??", "F", "lab.tables:UNUSED is reached now"),
    ("lab.words", "return f\"{name}", "WIDTH = ??\n    return f\"{name}", "A", "lab.words:WIDTH is not reached now"),
    ("lab.closures", "add_seven = adder(7)", "add_seven = adder(7)\nadd_eight = adder(??)", "GF", "lab.closures:add_eight is reached now"),
)  # fmt: skip
EXEC = (
    "lab.scoring",
    "return Score(name,",
    'exec("pass")\n    return Score(name,',
    "P",
    "not cached: lab.scoring, line",
)


@dataclass
class Mutation:
    """What was done. `touched`, `damaged`: the steps whose key is another now, or whose record does not count, each with a text that
    its reason must have. `cacheable`: whether what is computed may be found later."""

    said: str
    touched: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    cacheable: bool = True


@dataclass(frozen=True)
class Site:
    """A piece of text that can be mutated, in bytes from `start` to `end`. `role`: what it is to the step."""

    path: Path
    module: str
    definition: str
    role: str
    start: int
    end: int

    def mutate(self, draw: random.Random) -> str:
        """Write something else there; what."""
        content = self.path.read_bytes()
        old = content[self.start : self.end].decode()
        new = _other(old, draw)
        self.path.write_bytes(content[: self.start] + new.encode() + content[self.end :])
        return f"{self.module}:{self.definition}: {old} → {new}"


def steps_of(letters: str, reason: str) -> dict[str, str]:
    """The steps with these letters, each with the same reason."""
    return {step: reason for letter in letters for step in STEPS[letter]}


def in_code(role: str) -> Callable[[Laboratory, random.Random], Mutation]:
    """A mutation of a number, a text or an operator in code of that role."""

    def mutate(lab: Laboratory, draw: random.Random) -> Mutation:
        site = draw.choice([site for site in sites(lab) if site.role == role])
        name = f"{site.module}:{site.definition}"
        named = f"{site.module}:(import)" if name in AT_IMPORT else name
        letters = REACHED.get(site.module, {}).get(site.definition, "")
        return Mutation(site.mutate(draw), steps_of(letters, f"code {named} changed"))

    return mutate


def sites(lab: Laboratory) -> list[Site]:
    """All the places in the code that `in_code` can mutate."""
    return [site for module, path in lab.code().items() for site in _sites(module, path)]


def wiring(lab: Laboratory, draw: random.Random) -> Mutation:
    """Another base class, import, decorator, method."""
    module, old, new, letters, reason = draw.choice(WIRING)
    new = new.replace("??", str(draw.randrange(30, 99)))
    _replace(lab.code()[module], old, new)
    return Mutation(f"{module}: {old!r} → {new!r}", steps_of(letters, reason))


def obstacle(lab: Laboratory, draw: random.Random) -> Mutation:
    """Code that cannot be followed: its step is never found again."""
    module, old, new, letters, reason = EXEC
    _replace(lab.code()[module], old, new)
    return Mutation(f"{module}: exec", steps_of(letters, reason), cacheable=False)


def beside(lab: Laboratory, draw: random.Random) -> Mutation:
    """Functions that nothing reaches come, go, are renamed; the order of functions; a file more."""
    module, path = draw.choice(sorted(lab.code().items()))
    what = draw.choice(("added", "removed", "renamed", "moved", "file", "import"))
    if what == "file":
        path.with_name(f"more_{draw.randrange(99)}.py").write_text(f"LIMIT = {draw.random()}\n")
    elif what == "added":
        path.write_text(f"{path.read_text()}\n\ndef added(x):\n    return x - {draw.randrange(99)}\n")
    elif what == "import":
        path.write_text(path.read_text().replace('"""\n', '"""\n\nimport json\nimport bisect as found\n', 1))
    else:
        module, path = draw.choice([(m, p) for m, p in sorted(lab.code().items()) if _unreached(m, p)])
        _rewritten(module, path, what, draw)
    return Mutation(f"{module}: beside what is reached: {what}")


def comments(lab: Laboratory, draw: random.Random) -> Mutation:
    """Comments above statements, and behind them."""
    module, path = draw.choice(sorted(lab.code().items()))
    lines = path.read_text().splitlines()
    statements = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)]
    for node in draw.sample(statements, min(4, len(statements))):
        lines[node.end_lineno - 1] += f"  # {draw.random()}"
    for line in sorted(
        draw.sample(sorted({node.lineno for node in statements}), min(3, len(statements))), reverse=True
    ):
        lines.insert(line - 1, f"{' ' * draw.randrange(9)}# TODO {draw.random()}")
    path.write_text("\n".join(lines))
    return Mutation(f"{module}: comments")


def docstrings(lab: Laboratory, draw: random.Random) -> Mutation:
    """Docstrings changed, removed, or where there was none."""
    module, path = draw.choice(sorted(lab.code().items()))
    tree = ast.parse(path.read_text())
    owners = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef) and n.body]
    for owner in draw.sample(owners, min(3, len(owners))):
        if ast.get_docstring(owner):
            owner.body.pop(0)
        if draw.random() < 0.7 or not owner.body:
            owner.body.insert(0, ast.Expr(ast.Constant(f"Words {draw.random()}.\n\nAnd more.")))
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    return Mutation(f"{module}: docstrings")


def formatting(lab: Laboratory, draw: random.Random) -> Mutation:
    """The same tree in another layout."""
    module, path = draw.choice(sorted(lab.code().items()))
    text = path.read_text()
    if draw.random() < 0.5:
        text = ast.unparse(ast.parse(text))
    text = text.replace("    ", "\t") if draw.random() < 0.5 else text.replace("\n\n\n", "\n" * draw.randrange(2, 7))
    path.write_text(text.replace("return ", "return  ") + "\n" * draw.randrange(4))
    return Mutation(f"{module}: formatting")


def _other(old: str, draw: random.Random) -> str:
    if old.isdigit():
        return f"({old} + 0)" if draw.random() < 0.2 else str(int(old) + draw.randrange(1, 50))
    changed = dict(OPERATORS.values())
    return changed.get(old) or f'"{draw.random()} {old[1:]}'


def _sites(module: str, path: Path) -> Iterator[Site]:
    content = path.read_bytes()
    lines = [0]
    for line in content.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for statement in ast.parse(content).body:
        for name in _names(statement):
            for role, node in _parts(statement):
                is_reached = name in REACHED.get(module, {})
                for start, end in _places(node, lines, content):
                    yield Site(path, module, name, role if is_reached else "unreached", start, end)


def _names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    return [target.id for target in getattr(statement, "targets", ()) if isinstance(target, ast.Name)]


def _parts(statement: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    """A definition's parts, with the role that each has."""
    if isinstance(statement, ast.Assign):
        yield "constant", statement.value
    elif isinstance(statement, ast.ClassDef):
        for node in statement.body:
            yield ("method" if isinstance(node, ast.FunctionDef) else "class attribute"), node
    elif isinstance(statement, ast.FunctionDef):
        yield from (("decorator", node) for node in statement.decorator_list)
        yield from (("default", n) for n in (*statement.args.defaults, *statement.args.kw_defaults) if n)
        is_closure = any(isinstance(node, ast.FunctionDef) for node in statement.body)
        role = "decorator" if statement.name in DECORATORS else "closure" if is_closure else "helper"
        yield from ((role, node) for node in statement.body)


def _places(node: ast.AST, lines: list[int], content: bytes) -> Iterator[tuple[int, int]]:
    """Where numbers, a constant's text and operators stand."""
    for inner in ast.walk(node):
        is_motto = isinstance(inner, ast.Constant) and inner.value == MOTTO
        if isinstance(inner, ast.Constant) and (type(inner.value) is int or is_motto):
            yield lines[inner.lineno - 1] + inner.col_offset, lines[inner.end_lineno - 1] + inner.end_col_offset
        elif isinstance(inner, ast.BinOp) and type(inner.op) in OPERATORS:
            left, right = inner.left, inner.right
            after = lines[left.end_lineno - 1] + left.end_col_offset
            before = lines[right.lineno - 1] + right.col_offset
            at = content.index(OPERATORS[type(inner.op)][0].encode(), after, before)
            yield at, at + 1


def _unreached(module: str, path: Path) -> list[str]:
    """Functions that nothing in the code names."""
    defined = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    free = {"swept", "grown", "shouted", "cubes", "spread", "dirtied", "sleeper", "minus", "untold"}
    return [name for name in defined if name in free]


def _rewritten(module: str, path: Path, what: str, draw: random.Random) -> None:
    tree = ast.parse(path.read_text())
    name = draw.choice(_unreached(module, path))
    node = next(node for node in tree.body if getattr(node, "name", "") == name)
    tree.body.remove(node)
    if what == "renamed":
        node.name = f"{name}_{draw.randrange(99)}"
    if what != "removed":
        tree.body.append(node)
    path.write_text(ast.unparse(tree))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))
