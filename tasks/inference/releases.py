"""From a name in the registry to a loaded model that somebody trusted has signed."""

from storage.errors import CorruptArtifact
from storage.manifests import Manifest, fetch_files, read_manifest
from storage.objects import ObjectStore, open_store
from storage.registry import Registry, Version, check_release_signature
from storage.signing import open_keyring
from tasks.inference.predictor import Predictor


def load_version(store: ObjectStore, registry: Registry, name: str, version: Version) -> tuple[Predictor, Manifest]:
    """Fetch and load what a version names; Untrusted or CorruptArtifact where a signature or a digest is wrong.

    The registry has checked its entries; here follow the release manifest's signature, its digest, and each file's digest.
    """
    _check_signature(store, registry, name, version)
    manifest = read_manifest(store, version.release)
    found = manifest.kind, manifest.meta.get("model"), manifest.meta.get("artifact")
    wanted = "release", name, version.artifact
    if found != wanted:
        raise CorruptArtifact(
            f"model {name!r}, version {version.number}: its manifest says {found}, wanted {wanted}; release it again"
        )
    return Predictor.load(fetch_files(store, manifest)), manifest


def open_release(
    store: ObjectStore, registry: Registry, name: str, wanted: str | int
) -> tuple[Version, Predictor, Manifest]:
    """Resolve an alias or a version number, verify, load."""
    version = registry.find(name, wanted)
    return version, *load_version(store, registry, name, version)


def load_artifact(storage: str, digest: str) -> Predictor:
    """A candidate or champion by its digest, whether it was released or not; CorruptArtifact where a file differs from its own."""
    store = open_store(storage)
    return Predictor.load(fetch_files(store, read_manifest(store, digest)))


def _check_signature(store: ObjectStore, registry: Registry, name: str, version: Version) -> None:
    for entry in registry.entries(name):
        if entry.action == "register" and entry.fields["version"] == version.number:
            check_release_signature(open_keyring(store.url), entry)
