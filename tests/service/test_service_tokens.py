"""Tokens: a good one says who and what; every other one is refused without a word to who sent it."""

import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import RSAAlgorithm

from storage.errors import ConfigError
from tasks.service.tokens import MOST_CHARACTERS, Tokens

RSA_KEY, OTHER_RSA, SHORT_RSA = (rsa.generate_private_key(65537, bits) for bits in (2048, 2048, 1024))
EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
SECRET = "a secret of more than thirty-two bytes, as it must be"
KINDS = {"RS256": RSA_KEY, "PS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def settings(folder: Path, **changed: Any) -> Path:
    told = {
        "issuer": "https://idp",
        "audience": "millrace",
        "algorithms": ["RS256"],
        "public_key": "idp.pem",
        **changed,
    }
    (folder / "tokens.json").write_text(json.dumps({name: value for name, value in told.items() if value is not None}))
    return folder / "tokens.json"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "idp.pem").write_bytes(pem(RSA_KEY))
    return settings(tmp_path)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {
        "iss": "https://idp",
        "aud": "millrace",
        "sub": "ada",
        "iat": now,
        "exp": now + 600,
        "scope": "predict:iris",
    }
    return {name: value for name, value in {**told, **changed}.items() if value is not None}


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_good_token_says_who_and_what(tmp_path: Path, algorithm: str):
    (tmp_path / "idp.pem").write_bytes(pem(KINDS[algorithm]))
    tokens = Tokens(settings(tmp_path, algorithms=[algorithm], rate=5))
    key = tokens.verify(signed(KINDS[algorithm], algorithm, scope="openid predict:iris feedback:* email metrics"))
    assert key
    assert (key.id, key.scopes, key.rate) == ("jwt:ada", ("predict:iris", "feedback:*", "metrics"), 5.0)
    assert key.expires == pytest.approx(time.time() + 600, abs=60)
    assert key.allows("predict", "iris")
    assert not key.allows("predict", "digits")


def test_a_shared_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = settings(tmp_path, algorithms=["HS256"], public_key=None, secret_variable="SHARED")
    monkeypatch.setenv("SHARED", "short")
    with pytest.raises(ConfigError, match="SHARED: found a secret of 5 bytes, wanted at least 32") as refusal:
        Tokens(path)
    assert "short" not in str(refusal.value).partition(";")[0].replace("SHARED", "")
    monkeypatch.setenv("SHARED", SECRET)
    assert Tokens(path).verify(signed(SECRET, "HS256"))
    assert Tokens(path).verify(signed(SECRET + "x", "HS256")) is None


NOW = int(time.time())  # when the tests were collected, which may be long before one runs
WRONG: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 60},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "soon"},
    "an end beyond all numbers": {"exp": float("inf")},
    "not yet valid": {"nbf": NOW + 86_400},
    "issued in the future": {"iat": NOW + 86_400},
    "for another audience": {"aud": "other"},
    "for nobody": {"aud": None},
    "by another issuer": {"iss": "https://evil"},
    "by nobody": {"iss": None},
    "about nobody": {"sub": None},
    "a subject that breaks lines": {"sub": "ada\nroot"},
    "a subject too long": {"sub": "a" * 129},
    "a scope that is no text": {"scope": ["predict:*"]},
    "too long": {"padding": "x" * MOST_CHARACTERS},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_says_the_wrong_thing_is_refused(path: Path, wrong: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    token = signed(**WRONG[wrong])
    assert Tokens(path).verify(token) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("token refused: ")
    assert token[:40] not in line
    assert token[-40:] not in line


def by_hand(header: dict[str, Any], secret: bytes | None) -> str:
    """A token as an attacker makes one, whatever a library thinks of it."""
    content = f"{part(header)}.{part(claims())}"
    signature = hmac.new(secret, content.encode(), hashlib.sha256).digest() if secret else b""
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


FORGED = {
    "algorithm none": by_hand({"alg": "none", "typ": "JWT"}, None),
    "algorithm None": by_hand({"alg": "None", "typ": "JWT"}, None),
    "the public key as secret": by_hand({"alg": "HS256", "typ": "JWT"}, pem(RSA_KEY)),
    "the public key as secret, without its last line end": by_hand({"alg": "HS256"}, pem(RSA_KEY).strip()),
    "an algorithm that is no text": by_hand({"alg": ["RS256"]}, None),
    "an unknown critical header": signed(headers={"crit": ["x"], "x": 1}),
    "another key": signed(OTHER_RSA),
    "a key of its own": by_hand({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b"\0\0\0"),
    "another algorithm of the same key": signed(algorithm="RS512"),
    "a changed claim": (lambda t: f"{t[0]}.{part(claims(sub='root'))}.{t[2]}")(signed().split(".")),
    "a cut signature": signed()[:-4],
    "no signature": signed().rpartition(".")[0] + ".",
    "nothing": "",
    "garbage": "a.b.c",
    "dots": "..",
    "no text": "\ud800.\ud800.x",
    "deep JSON": f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.x",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_token_is_refused(path: Path, forged: str):
    assert Tokens(path).verify(FORGED[forged]) is None


def test_a_little_difference_of_clocks_is_borne(tmp_path: Path, path: Path):
    late = signed(exp=int(time.time()) - 5)
    assert Tokens(path).verify(late)
    assert Tokens(settings(tmp_path, leeway_seconds=0)).verify(late) is None


def test_a_token_that_lives_too_long_is_refused_where_that_is_asked_for(tmp_path: Path, path: Path):
    tokens = Tokens(settings(tmp_path, most_seconds=900))
    assert tokens.verify(signed())
    assert tokens.verify(signed(exp=int(time.time()) + 86_400)) is None
    assert tokens.verify(signed(iat=None)) is None


def key_set(**keys: Any) -> dict[str, Any]:
    return {"keys": [{**json.loads(RSAAlgorithm.to_jwk(key)), "kid": name} for name, key in keys.items()]}


def test_of_a_key_set_the_key_that_the_token_names_counts(tmp_path: Path):
    (tmp_path / "jwks.json").write_text(json.dumps(key_set(one=RSA_KEY.public_key(), two=OTHER_RSA.public_key())))
    tokens = Tokens(settings(tmp_path, public_key=None, jwks="jwks.json"))
    assert tokens.verify(signed(headers={"kid": "one"}))
    assert tokens.verify(signed(OTHER_RSA, headers={"kid": "two"}))
    refused = [{"kid": "two"}, {"kid": "three"}, {}]
    assert [tokens.verify(signed(headers=headers)) for headers in refused] == [None, None, None]
    for kid in (["one"], {"one": 1}, 1, None):
        assert tokens.verify(by_hand({"alg": "RS256", "kid": kid}, None)) is None


def test_keys_that_the_issuer_changes_are_taken_up_and_a_broken_file_changes_nothing(tmp_path: Path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(key_set(one=RSA_KEY.public_key())))
    tokens = Tokens(settings(tmp_path, public_key=None, jwks="jwks.json"))
    new = signed(OTHER_RSA, headers={"kid": "two"})
    assert tokens.verify(new) is None
    for content in ("{", "[]", '{"keys": [1]}', '{"keys": []}'):
        file.write_text(content)
        assert tokens.verify(signed(headers={"kid": "one"}))
    file.write_text(json.dumps(key_set(two=OTHER_RSA.public_key())))
    assert tokens.verify(new)
    assert tokens.verify(signed(headers={"kid": "one"})) is None


PRIVATE = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
MISTAKES: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "the algorithm none": ({"algorithms": ["none"]}, pem(RSA_KEY), "found the algorithm 'none'"),
    "a secret's algorithm with a public key": ({"algorithms": ["RS256", "HS256"]}, pem(RSA_KEY), "'HS256'"),
    "an algorithm for another kind of key": ({"algorithms": ["EdDSA"]}, pem(RSA_KEY), "found none for EdDSA"),
    "no algorithm": ({"algorithms": []}, pem(RSA_KEY), "algorithms"),
    "a private key": ({}, PRIVATE, "wanted public keys"),
    "a short key": ({}, pem(SHORT_RSA), "found none for RS256"),
    "no key": ({}, b"", "wanted public keys"),
    "two kinds of keys": ({"jwks": "x"}, pem(RSA_KEY), "wanted one of"),
    "a clock far off": ({"leeway_seconds": 31}, pem(RSA_KEY), "leeway_seconds"),
    "a misspelt field": ({"isuer": "x"}, pem(RSA_KEY), "isuer"),
    "no audience": ({"audience": None}, pem(RSA_KEY), "audience"),
    "a file that is not there": ({"public_key": "absent.pem"}, pem(RSA_KEY), "absent.pem"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, mistake: str):
    changed, key, said = MISTAKES[mistake]
    (tmp_path / "idp.pem").write_bytes(key)
    with pytest.raises(ConfigError) as refusal:
        Tokens(settings(tmp_path, **changed))
    assert said in str(refusal.value)
    assert "PRIVATE" not in str(refusal.value)


def test_a_key_set_with_secrets_or_private_keys_is_refused(tmp_path: Path):
    private = {**json.loads(RSAAlgorithm.to_jwk(RSA_KEY)), "kid": "one"}
    for entry in (private, {"kty": "oct", "k": "A" * 60, "kid": "one"}):
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [entry]}))
        with pytest.raises(ConfigError, match="found none for RS256"):
            Tokens(settings(tmp_path, public_key=None, jwks="jwks.json"))


def test_a_service_without_tokens_does_not_load_their_library():
    script = "import sys, tasks.service.__main__, tasks.service.server; sys.exit('jwt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
