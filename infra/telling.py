"""What a run is told of its store, for workers that do not inherit its environment: those of a scheduler elsewhere."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distributed import Client, WorkerPlugin

from infra.agreement import NEXT_STEP
from storage.errors import ConfigError
from storage.surroundings import told

NAME = "millrace-store"


class Told(WorkerPlugin):
    """Sets variables in each worker, also in those that join later. One scheduler is told one store at a time, the last."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._before: dict[str, str | None] = {}

    def setup(self, worker: Any) -> None:
        self._before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)

    def teardown(self, worker: Any) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def telling(client: Client) -> Iterator[None]:
    """The cluster's workers are told what this process is, until the end. Told nothing, they forget what a killed run left.

    ConfigError where a worker does not have this very code.
    """
    try:
        client.register_plugin(Told(told()), name=NAME)
    except Exception as error:  # Dask hands on a worker's own as a text
        if "ModuleNotFoundError" not in str(error) and not isinstance(error, ImportError):
            raise
        raise ConfigError(f"cluster: a worker cannot begin the work ({error}); {NEXT_STEP}") from error
    try:
        yield
    finally:
        if client.status == "running":
            client.unregister_worker_plugin(NAME)
