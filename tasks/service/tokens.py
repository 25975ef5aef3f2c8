"""JSON Web Tokens (RFC 7519) instead of API keys: signed by an issuer that is trusted here, and checked as RFC 8725 advises.

The algorithms are pinned by the settings and by the kind of key, never by the token. A token must end (`exp`), be for us (`aud`), from
the issuer (`iss`) and about somebody (`sub`). Its claim `scope` holds our scopes, separated by spaces; others' are passed over.
"""

import logging
import re
from pathlib import Path
from typing import Any

import jwt

from storage.errors import ConfigError
from tasks.service.keys import SCOPE, Key
from tasks.service.token_settings import TokenSettings, read_keys, read_settings

MOST_CHARACTERS = 8192
_SUBJECT = re.compile(r"[!-~]{1,128}")
_REQUIRED = ["exp", "iss", "aud", "sub"]
log = logging.getLogger(__name__)


class _Refused(Exception):
    """Why a token is not believed, in words for the log."""


class Tokens:
    """The tokens that are believed by the settings in a file. A file of keys that changes is read again at the next token."""

    def __init__(self, path: Path) -> None:
        """ConfigError for settings or keys that cannot be used."""
        self.settings: TokenSettings = read_settings(path)
        self._folder = path.parent
        self._keys = read_keys(self.settings, self._folder)
        self._mark = self._file_mark()

    def verify(self, token: str) -> Key | None:
        """Who sent the token and what he may do: `jwt:` and the subject as id, `expires` from the token, `rate` from the settings.

        None for any token that is not believed; why, says the log and nobody else.
        """
        try:
            return self._key(self._claims(token))
        except _Refused as error:
            reason = str(error)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            reason = type(error).__name__  # its text may repeat what the token says
        log.info("token refused: %s", reason)
        return None

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MOST_CHARACTERS:
            raise _Refused(f"{len(token)} characters, wanted at most {MOST_CHARACTERS}")
        self._read_again()
        name = jwt.get_unverified_header(token).get("kid") if self.settings.jwks else None
        if name not in self._keys:
            raise _Refused("no key with that kid")
        key, algorithms = self._keys[name]
        required = [*_REQUIRED, "iat"] if self.settings.most_seconds else _REQUIRED
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=self.settings.audience,
            issuer=self.settings.issuer,
            leeway=self.settings.leeway_seconds,
            options={"require": required},
        )

    def _key(self, claims: dict[str, Any]) -> Key:
        until, most, scope = int(claims["exp"]), self.settings.most_seconds, claims.get("scope", "")
        if most is not None and until - int(claims["iat"]) > most:
            raise _Refused(f"a life of more than {most:g} seconds")
        if not _SUBJECT.fullmatch(claims["sub"]) or not isinstance(scope, str):
            raise _Refused("a subject or scope that cannot be used")
        scopes = tuple(part for part in scope.split() if SCOPE.fullmatch(part))
        return Key(f"jwt:{claims['sub']}", "", scopes, float(until), self.settings.rate)

    def _read_again(self) -> None:
        """Take up keys that the issuer has changed; those from before stay where the file cannot be used."""
        mark = self._file_mark()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._keys = read_keys(self.settings, self._folder)
        except ConfigError as error:
            log.error("the keys from before stay: %s", error)

    def _file_mark(self) -> tuple[int, ...]:
        try:
            status = (self._folder / self.settings.file).stat() if self.settings.file else None
        except OSError:
            return (0,)
        return (status.st_ino, status.st_size, status.st_mtime_ns) if status else ()
