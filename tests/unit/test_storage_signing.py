"""Keys and signatures: private keys stay private, and only trusted signers count."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage.errors import ConfigError, Untrusted
from storage.objects import open_store
from storage.signing import Keyring, key_id, open_keyring, public_text


def test_what_was_signed_here_is_trusted_here(tmp_path: Path):
    keyring = Keyring(tmp_path / "keys")
    signature = keyring.sign(b"content")
    keyring.verify(b"content", signature, keyring.signer())
    Keyring(tmp_path / "keys").verify(b"content", signature, keyring.signer())


def test_the_private_key_is_readable_by_its_owner_only_and_outside_the_store(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    keyring = open_keyring(store.url)
    keyring.sign(b"content")
    assert keyring.private_file == tmp_path / "store-keys" / "signing.key"
    assert keyring.private_file.stat().st_mode & 0o777 == 0o600
    assert list(store.list("")) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    keyring = Keyring(tmp_path)
    keyring.sign(b"")
    keyring.private_file.chmod(mode)
    with pytest.raises(ConfigError, match=rf"found mode {mode:04o}, wanted 0600.*chmod 600 {keyring.private_file}"):
        keyring.sign(b"")


@pytest.mark.parametrize("content", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_a_damaged_key_is_named(tmp_path: Path, content: str):
    keyring = Keyring(tmp_path)
    keyring.sign(b"")
    keyring.private_file.write_text(content)
    with pytest.raises(ConfigError, match=f"key in {keyring.private_file}: cannot be read"):
        keyring.sign(b"")


def test_changed_content_or_signature_is_untrusted(tmp_path: Path):
    keyring = Keyring(tmp_path)
    signature = keyring.sign(b"content")
    for content, claimed in [(b"Content", signature), (b"content", "AAAA"), (b"content", "?"), (b"content", "")]:
        with pytest.raises(Untrusted, match="does not fit the content"):
            keyring.verify(content, claimed, keyring.signer())


def test_a_foreign_key_is_untrusted_until_its_public_key_is_copied(tmp_path: Path):
    mine, theirs = Keyring(tmp_path / "mine"), Keyring(tmp_path / "theirs")
    mine.sign(b"")
    signature = theirs.sign(b"content")
    with pytest.raises(
        Untrusted,
        match=rf"key {theirs.signer()}, which is not trusted here.*copy the signer's signing.pub to {mine.trusted_folder}",
    ):
        mine.verify(b"content", signature, theirs.signer())
    (mine.trusted_folder / "them.pub").write_bytes((theirs.folder / "signing.pub").read_bytes())
    mine.verify(b"content", signature, theirs.signer())


def test_keys_from_the_environment_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = Ed25519PrivateKey.generate()
    monkeypatch.setenv("MILLRACE_SIGNING_KEY", base64.b64encode(key.private_bytes_raw()).decode())
    signature = Keyring(tmp_path / "a").sign(b"content")
    assert not (tmp_path / "a").exists()
    monkeypatch.delenv("MILLRACE_SIGNING_KEY")
    monkeypatch.setenv(
        "MILLRACE_TRUSTED_KEYS",
        f"{public_text(Ed25519PrivateKey.generate().public_key())}, {public_text(key.public_key())}",
    )
    Keyring(tmp_path / "b").verify(b"content", signature, key_id(key.public_key()))
    assert not (tmp_path / "b").exists()


def test_racing_first_uses_make_one_key(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        signers = set(pool.map(lambda _: Keyring(tmp_path / "keys").signer(), range(8)))
    assert len(signers) == 1
    assert sorted(os.listdir(tmp_path / "keys")) == ["signing.key", "signing.pub", "trusted"]
    public = (tmp_path / "keys" / "signing.pub").read_text().strip()
    assert public in {public_text(key) for key in Keyring(tmp_path / "keys").trusted().values()}
