"""Moving an alias by hand: what the commands and the flows `promote` and `rollback` both do."""

from storage.errors import NotFound
from storage.root import default_storage


def existing_store(url: str) -> str:
    """The store at `url`, or the default one. NotFound where a local one is not there: opening it would make an empty one."""
    from storage.engines import locate

    storage = url or default_storage()
    folder = locate(storage).folder
    if folder is not None and not folder.is_dir():
        raise NotFound(
            f"store {folder}: there is no such folder; name another with --storage, or make one with: millrace run digits"
        )
    return storage


def move_forward(name: str, version: int, alias: str, storage: str) -> str:
    """Point `alias` at `version`; what is so now, in words."""
    from storage.registry import open_registry

    open_registry(existing_store(storage)).promote(name, version, alias, reason="by hand", automatic=False)
    return f"{name}: {alias} is version {version}"


def move_back(name: str, alias: str, storage: str) -> str:
    """Point `alias` at the version before; what is so now, in words."""
    from storage.registry import open_registry

    version = open_registry(existing_store(storage)).rollback(name, alias)
    return f"{name}: {alias} is version {version.number} again"
