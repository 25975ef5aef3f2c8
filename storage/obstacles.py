"""What nobody can follow by reading: code that is made while it runs, and modules that are imported by a computed name."""

_MADE = frozenset({"exec", "eval", "compile", "globals", "locals", "__builtins__"})
_BY_NAME = frozenset(
    {
        "builtins.__import__",
        "importlib.__import__",
        "importlib.import_module",
        "importlib.util.module_from_spec",
        "importlib.util.spec_from_file_location",
        "pkgutil.iter_modules",
        "pkgutil.resolve_name",
        "pkgutil.walk_packages",
        "pydoc.locate",
    }
)
_BY_NAME_MODULES = ("runpy", "importlib.machinery", "sys.modules")


def obstacle(module: str, name: str, line: int, declared: bool) -> str:
    """Why `name`, used in this line of `module`, keeps its code from being followed; empty where it does not.

    `declared`: the module names in `REACHES` what it imports by a computed name.
    """
    where = f"{module}, line {line}:"
    made = name.removeprefix("builtins.").partition(".")[0]
    if name.startswith("builtins.") and made in _MADE:
        return f"{where} {made}() runs or finds what cannot be read beforehand; call functions by their names"
    if name == "__subclasses__":
        return f"{where} __subclasses__() finds what cannot be read beforehand; list the classes"
    if declared or not (
        name in {*_BY_NAME, "runpy", "sys.modules"} or name.startswith(tuple(f"{known}." for known in _BY_NAME_MODULES))
    ):
        return ""
    short = name.removeprefix("builtins.")
    if short.startswith("sys.modules"):
        return f'{where} sys.modules finds a module by a computed name; list such modules there, as REACHES = ("package.module",)'
    return f'{where} {short}() loads a module by a computed name; list such modules there, as REACHES = ("package.module",)'
