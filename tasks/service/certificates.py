"""The certificate that the service shows, read again when its files change."""

import ssl
from pathlib import Path

from storage.errors import ConfigError
from tasks.service.settings import TlsSettings


class Certificate:
    """TLS 1.2 or later with the certificate and key in two PEM files; ConfigError where they cannot be used."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.load()

    def load(self) -> None:
        """Take what the files hold now; connections from here on see it."""
        paths = self._settings.certificate, self._settings.key
        try:
            # First into a context of its own: half of a pair would break the one that serves
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*paths)
            self.context.load_cert_chain(*paths)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"tls: certificate {paths[0]} with key {paths[1]}: {error}; wanted PEM files that fit"
            ) from None

    def stamp(self) -> tuple[int, ...]:
        """Changes with the files."""
        files = Path(self._settings.certificate), Path(self._settings.key)
        try:
            return tuple(part for file in files for part in (file.stat().st_mtime_ns, file.stat().st_size))
        except OSError:
            return ()
