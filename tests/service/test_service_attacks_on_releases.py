"""What somebody who can write into the store, but holds no trusted key, brings to be served: nothing."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from handmade import iris_files, iris_store, release

from storage.entries import entry_key, seal
from storage.errors import MillraceError, Untrusted
from storage.manifests import read_manifest
from storage.master_keys import KEY
from storage.objects import ObjectStore
from storage.registry import open_registry
from storage.root import temporary_folder
from storage.signing import Keyring, open_keyring
from tasks.inference.releases import load_version
from tasks.service.following import Following
from tasks.service.loading import Loader


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """`iris` with two versions and `other` with one, all champions; entries of iris: register, register, promote."""
    store, registry = iris_store(tmp_path, versions=2)
    release(store, registry, "other", iris_files())
    registry.promote("other", 1)
    return store


def file_of(store: ObjectStore, name: str, index: int) -> Path:
    path = store.local_path(entry_key(name, index))
    assert path is not None
    return path


def load(store: ObjectStore, number: int = 2) -> None:
    """As a service does that looks for the first time."""
    registry = open_registry(store.url)
    Following(store, registry, "iris", "champion").look()
    Loader(store, registry).load("iris", number)


def resealed(store: ObjectStore, keyring: Keyring, index: int, **changed: Any) -> None:
    """Write an entry anew with other fields, signed by `keyring`."""
    path = file_of(store, "iris", index)
    body = json.loads(path.read_bytes())["body"]
    body.pop("key_id")
    path.write_bytes(seal(keyring, {**body, **changed}))


def test_what_nobody_touched_is_loaded(store: ObjectStore) -> None:
    load(store, 1)
    load(store, 2)


def test_an_entry_without_its_signature_is_refused(store: ObjectStore) -> None:
    path = file_of(store, "iris", 2)
    envelope = json.loads(path.read_bytes())
    for signature in (None, "", "AAAA"):
        path.write_bytes(json.dumps({"body": envelope["body"], "signature": signature}).encode())
        with pytest.raises(Untrusted):
            load(store)
    path.write_bytes(json.dumps({"body": envelope["body"]}).encode())
    with pytest.raises(Untrusted):
        load(store)


def test_an_entry_that_was_changed_is_refused(store: ObjectStore) -> None:
    path = file_of(store, "iris", 2)
    envelope = json.loads(path.read_bytes())
    envelope["body"]["version"] = 2
    path.write_bytes(json.dumps(envelope).encode())
    with pytest.raises(Untrusted, match="entry 2 of model 'iris'"):
        load(store)


def test_a_release_whose_own_signature_is_another_s_is_refused(store: ObjectStore) -> None:
    first, second = (json.loads(file_of(store, "iris", index).read_bytes())["body"] for index in (0, 1))
    field = "fields" if "fields" in first else None
    old = (first[field] if field else first)["release"]
    changed = {field: {**second[field], "release": old}} if field else {"release": old}
    resealed(store, open_keyring(store.url), 1, **changed)
    with pytest.raises(Untrusted):
        Loader(store, open_registry(store.url)).load("iris", 2)


def test_a_log_that_a_foreign_key_has_signed_from_end_to_end_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    resealed(store, Keyring(tmp_path / "foreign"), 2)
    with pytest.raises(Untrusted, match="not trusted here"):
        load(store)


@pytest.mark.parametrize("source", [("other", 0), ("other", 1), ("iris", 0), ("iris", 1)])
@pytest.mark.parametrize("place", [2, 3])
def test_a_good_entry_of_another_model_or_place_is_refused(
    store: ObjectStore, source: tuple[str, int], place: int
) -> None:
    shutil.copy(file_of(store, *source), file_of(store, "iris", place))
    with pytest.raises(Untrusted, match=f"entry {place} of model 'iris'"):
        load(store)


def test_a_log_with_a_hole_is_refused(store: ObjectStore) -> None:
    file_of(store, "iris", 0).unlink()
    with pytest.raises(MillraceError):
        load(store)


def test_a_log_that_is_cut_short_moves_no_service_that_runs(store: ObjectStore) -> None:
    registry = open_registry(store.url)
    registry.promote("iris", 2)
    following = Following(store, registry, "iris", "champion")
    route = following.look()
    assert route is not None
    following.settle()
    file_of(store, "iris", 3).unlink()
    assert (route.champion, following.look()) == (2, None)


@pytest.mark.parametrize("kind", ["manifest", "model"])
def test_files_swapped_between_versions_are_refused(store: ObjectStore, kind: str) -> None:
    first, second = open_registry(store.url).versions("iris")
    if kind == "manifest":
        old, new = (next(Path(store.url).rglob(f"*{version.release}*")) for version in (first, second))
    else:
        keys = [read_manifest(store, version.release).files["model.onnx"].key for version in (first, second)]
        old, new = (Path(store.url) / key for key in keys)
    content = old.read_bytes()
    new.chmod(0o644)
    new.write_bytes(content)
    with pytest.raises(MillraceError):
        load(store)


def test_of_an_encrypted_model_nothing_decrypted_stays_in_a_file_once_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path / "root"))
    store, registry = iris_store(tmp_path, versions=2)
    decrypted = temporary_folder() / "decrypted"
    for number in (1, 2):
        load_version(store, registry, "iris", registry.versions("iris")[number - 1])
        assert decrypted.exists()
        Loader(store, registry).load("iris", number)
        assert not decrypted.exists()
