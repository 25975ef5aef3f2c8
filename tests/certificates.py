"""Certificates for tests, made on the spot: an authority, and what it signs."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=1)


def make_authority(folder: Path) -> dict[str, str]:
    """Write an authority's `ca.pem` and a `cert.pem` for 127.0.0.1 with its `key.pem`; their paths as the cluster section names them."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
    ca = _builder(name, authority.public_key(), name).add_extension(x509.BasicConstraints(True, None), critical=True)
    cert = _builder(x509.Name([]), leaf.public_key(), name).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True
    )
    pem = PrivateFormat.PKCS8, NoEncryption()
    contents = {
        "tls_ca": ca.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM),
        "tls_cert": cert.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM),
        "tls_key": leaf.private_bytes(Encoding.PEM, *pem),
    }
    for field, content in contents.items():
        (folder / f"{field}.pem").write_bytes(content)
    return {field: str(folder / f"{field}.pem") for field in contents}


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
    )
