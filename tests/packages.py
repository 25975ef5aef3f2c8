"""Small packages of real files, of which fingerprints are taken."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.fingerprints import Reach, reach


@dataclass(frozen=True)
class Package:
    """A package on disk. `PKG` in the texts of its files stands for its name."""

    name: str
    folder: Path

    def write(self, files: dict[str, str]) -> "Package":
        """Write files, by their path in the package."""
        for file, text in files.items():
            path = self.folder / self.name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PKG", self.name))
        return self

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that is in a file."""
        path = self.folder / self.name / file
        text, old = path.read_text(), old.replace("PKG", self.name)
        assert old in text
        path.write_text(text.replace(old, new.replace("PKG", self.name)))

    def reach(self, entry: str = "main:run") -> Reach:
        """What an entry reaches, `main:run` as a rule."""
        return reach(f"{self.name}.{entry}", packages=(self.name,))

    def names(self, entry: str = "main:run") -> set[str]:
        """The definitions that an entry reaches, without the package's name before them."""
        return {name.removeprefix(f"{self.name}.") for name in self.reach(entry).definitions}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A new package, empty."""
    monkeypatch.syspath_prepend(tmp_path)
    return Package(f"pkg_{tmp_path.name}".replace("-", "_"), tmp_path).write({"__init__.py": ""})
