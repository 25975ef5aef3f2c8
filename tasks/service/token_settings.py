"""Whose tokens are believed: a JSON file that names an issuer, its keys, and what a token must say.

    {"issuer": "https://login.example.com", "audience": "millrace", "algorithms": ["RS256"], "jwks": "jwks.json"}

The keys: `public_key`, a PEM file; `jwks`, a JSON Web Key Set (RFC 7517); or `secret_variable`, the environment variable that holds a
shared secret. Files are looked for beside the settings.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from storage.errors import ConfigError

MOST_LEEWAY_SECONDS = 30
LEAST_RSA_BITS = 2048  # NIST SP 800-131A
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # a secret shorter than its hash is guessed: RFC 7518 §3.2
Keys = Mapping[str | None, tuple[Any, list[str]]]  # by the key's id: the key, and the algorithms it may be used with


class TokenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`most_seconds`: the longest life of a token (None: any, as long as it ends); `rate`: requests a second for each subject."""

    issuer: Annotated[str, msgspec.Meta(min_length=1)]
    audience: Annotated[str, msgspec.Meta(min_length=1)]
    algorithms: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    public_key: str = ""
    jwks: str = ""
    secret_variable: str = ""
    leeway_seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_LEEWAY_SECONDS)] = 10.0
    most_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    rate: Annotated[float, msgspec.Meta(gt=0)] | None = None

    @property
    def file(self) -> str:
        """The file with the keys, if they are in one."""
        return self.public_key or self.jwks


def read_settings(path: Path) -> TokenSettings:
    """The settings in the file; ConfigError names what is wrong."""
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=TokenSettings)
    except OSError as error:
        raise ConfigError(f"token settings {path}: {error.strerror}; give a JSON file") from None
    except msgspec.DecodeError as error:
        wanted = '{"issuer", "audience", "algorithms", and "public_key", "jwks" or "secret_variable"}'
        raise ConfigError(f"token settings {path}: {error}; wanted {wanted}") from None
    if sum(map(bool, (settings.public_key, settings.jwks, settings.secret_variable))) != 1:
        raise ConfigError(f"token settings {path}: wanted one of public_key, jwks and secret_variable")
    known = SECRET_BYTES if settings.secret_variable else (*RSA, *CURVES.values(), "EdDSA")
    if unknown := [name for name in settings.algorithms if name not in known]:
        raise ConfigError(
            f"token settings {path}: found the algorithm {unknown[0]!r}, wanted some of {', '.join(known)}"
        )
    return settings


def read_keys(settings: TokenSettings, folder: Path) -> Keys:
    """The keys, each with those of the settings' algorithms that it fits. ConfigError for one that cannot be used."""
    if settings.secret_variable:
        return {None: (_secret(settings), list(settings.algorithms))}
    path = folder / settings.file
    try:
        content = path.read_bytes()
        keys = _from_pem(content) if settings.public_key else _from_jwks(content)
    except OSError as error:
        raise ConfigError(f"keys of tokens {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"keys of tokens {path}: cannot be read ({type(error).__name__}); wanted public keys"
        ) from None
    usable = {name: (key, [a for a in fits if a in settings.algorithms]) for name, (key, fits) in keys.items()}
    usable = {name: pair for name, pair in usable.items() if pair[1]}
    if not usable:
        raise ConfigError(
            f"keys of tokens {path}: found none for {', '.join(settings.algorithms)}, wanted a public key for it"
        )
    return usable


def _secret(settings: TokenSettings) -> bytes:
    secret = os.environ.get(settings.secret_variable, "").encode()
    wanted = max(SECRET_BYTES[name] for name in settings.algorithms)
    if len(secret) < wanted:
        raise ConfigError(
            f"{settings.secret_variable}: found a secret of {len(secret)} bytes, wanted at least {wanted} for "
            f"{', '.join(settings.algorithms)}; make one with: openssl rand -base64 {wanted}"
        )
    return secret


def _from_pem(content: bytes) -> dict[str | None, tuple[Any, list[str]]]:
    key = load_pem_public_key(content)
    return {None: (key, _fitting(key))}


def _from_jwks(content: bytes) -> dict[str | None, tuple[Any, list[str]]]:
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    keys: dict[str | None, tuple[Any, list[str]]] = {}
    for entry in msgspec.json.decode(content)["keys"]:
        if entry.get("use", "sig") != "sig" or "kid" not in entry:
            continue
        try:
            key = PyJWK(entry).key
        except PyJWTError:  # of a kind that nobody here knows
            continue
        fits = _fitting(key)
        keys[str(entry["kid"])] = key, [name for name in fits if entry.get("alg", name) == name]
    return keys


def _fitting(key: Any) -> list[str]:
    """The algorithms that a public key may be used with: none for a private key or a secret, which have no place in such a file."""
    if isinstance(key, rsa.RSAPublicKey):
        return list(RSA) if key.key_size >= LEAST_RSA_BITS else []
    if isinstance(key, ec.EllipticCurvePublicKey):
        return [CURVES[key.curve.name]] if key.curve.name in CURVES else []
    return ["EdDSA"] if isinstance(key, ed25519.Ed25519PublicKey) else []
