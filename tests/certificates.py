"""Certificates for tests, made on the spot: an authority, and a certificate for 127.0.0.1 by it."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=1)


def make_authority(folder: Path) -> dict[str, str]:
    """Write an authority, a certificate for 127.0.0.1 and its key as PEM files; their paths as the cluster section names them."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, leaf = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    contents = {
        "tls_ca": _signed(folder.name, authority, folder.name, authority),
        "tls_cert": _signed("127.0.0.1", leaf, folder.name, authority),
        "tls_key": leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for field, content in contents.items():
        (folder / f"{field}.pem").write_bytes(content)
    return {field: str(folder / f"{field}.pem") for field in contents}


def make_certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate as a PEM file, and what a server on 127.0.0.1 needs to speak TLS by it."""
    made = make_authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made["tls_cert"], made["tls_key"])
    return Path(made["tls_ca"]), context


def _signed(name: str, key: EllipticCurvePrivateKey, issuer: str, by: EllipticCurvePrivateKey) -> bytes:
    now, ca = datetime.now(UTC), key is by
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not ca:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)
