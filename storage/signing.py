"""Who may say what is released: Ed25519 signatures (RFC 8032), and the keys that are trusted here.

The private key lives in a file that only its owner can read, or in `MILLRACE_SIGNING_KEY`; it is never in the object store. Trusted
public keys are this machine's own, each `trusted/*.pub` beside it, and those in `MILLRACE_TRUSTED_KEYS` (separated by
commas or spaces). A key is written as the Base64 of its 32 bytes.
"""

import base64
import binascii
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from storage.engines import locate
from storage.errors import ConfigError, Untrusted
from storage.root import data_root

_KEY_BYTES = 32


class Keyring:
    """The keys in `folder` and the environment. Read anew at each use, so that a key that is added counts at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def private_file(self) -> Path:
        """Where the private key is kept if the environment names none."""
        return self.folder / "signing.key"

    @property
    def trusted_folder(self) -> Path:
        """Where other signers' public keys are put to trust them."""
        return self.folder / "trusted"

    @property
    def has_own(self) -> bool:
        """Whether this machine has a private key already."""
        return self._private() is not None

    def sign(self, content: bytes) -> str:
        """This machine's signature of `content`, in Base64. The first use makes the key."""
        return base64.b64encode(self._own().sign(content)).decode()

    def signer(self) -> str:
        """The id of the key that `sign` uses."""
        return key_id(self._own().public_key())

    def verify(self, content: bytes, signature: str, signer: str) -> None:
        """Nothing, if `signature` is that of `content` by the trusted key with the id `signer`; else `Untrusted`."""
        trusted = self.trusted()
        if signer not in trusted:
            raise Untrusted(
                f"signed by key {signer}, which is not trusted here (trusted: {', '.join(sorted(trusted)) or 'none'}); to "
                f"trust it, copy the signer's signing.pub to {self.trusted_folder}/NAME.pub or add it to MILLRACE_TRUSTED_KEYS"
            )
        try:
            trusted[signer].verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, binascii.Error) as error:
            raise Untrusted(
                f"the signature by key {signer} does not fit the content: it was changed after signing; "
                "restore the object from a backup"
            ) from error

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """The public keys that are trusted here, by their ids."""
        own = self._private()
        keys = [own.public_key()] if own else []
        for file in sorted(self.trusted_folder.glob("*.pub")):
            keys.append(_public(file.read_text(), str(file)))
        for text in os.environ.get("MILLRACE_TRUSTED_KEYS", "").replace(",", " ").split():
            keys.append(_public(text, "MILLRACE_TRUSTED_KEYS"))
        return {key_id(key): key for key in keys}

    def _own(self) -> Ed25519PrivateKey:
        return self._private() or self._create()

    def _private(self) -> Ed25519PrivateKey | None:
        if text := os.environ.get("MILLRACE_SIGNING_KEY"):
            return Ed25519PrivateKey.from_private_bytes(_decoded(text, "MILLRACE_SIGNING_KEY"))
        try:
            mode = stat.S_IMODE(self.private_file.stat().st_mode)
        except FileNotFoundError:
            return None
        if mode & 0o077:
            raise ConfigError(
                f"signing key {self.private_file}: found mode {mode:04o}, wanted 0600: others could read it; "
                f"chmod 600 {self.private_file}"
            )
        return Ed25519PrivateKey.from_private_bytes(_decoded(self.private_file.read_text(), str(self.private_file)))

    def _create(self) -> Ed25519PrivateKey:
        """Make the key, or take the one that another process made meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.trusted_folder.mkdir(exist_ok=True)
        made = Ed25519PrivateKey.generate()
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix="signing-") as file:  # mode 0600
            file.write(base64.b64encode(made.private_bytes_raw()).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(file.name, self.private_file)
            except FileExistsError:
                return self._private() or made
        (self.folder / "signing.pub").write_text(public_text(made.public_key()) + "\n")
        return made


def open_keyring(store_url: str) -> Keyring:
    """The keys for a store: in `<folder>-keys` beside a local one, so that they are not in it; else in the data root."""
    folder = locate(store_url).folder
    return Keyring(folder.with_name(f"{folder.name}-keys") if folder else data_root() / "keys")


def key_id(key: Ed25519PublicKey) -> str:
    """A public key's name in messages and entries: the first 16 digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as it stands in a `.pub` file and in `MILLRACE_TRUSTED_KEYS`."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def _public(text: str, source: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(_decoded(text, source))


def _decoded(text: str, source: str) -> bytes:
    try:
        content = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        content = b""
    if len(content) != _KEY_BYTES:
        raise ConfigError(f"key in {source}: cannot be read; wanted the Base64 of {_KEY_BYTES} bytes on one line")
    return content
