"""Makes a certificate authority and one certificate, so that TLS is really verified."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from verify.sandbox.state import write

DAYS = 7
ISSUER = "Handbook sandbox CA (for this machine only)"
SUBJECT = "Handbook sandbox"


def make(folder: Path, ca: Path) -> tuple[Path, Path]:
    """Make a new authority and a certificate for 127.0.0.1 and localhost.

    The authority's key is never written: nobody can issue a second certificate.

    Parameters
    ----------
    folder : Path
        Where ``server.key`` and ``server.pem`` go, readable by their owner only.
    ca : Path
        Where the authority's certificate goes, for clients to trust.

    Returns
    -------
    tuple of Path
        The key and the certificate.
    """
    own, signing = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(ISSUER, ISSUER, signing, signing, ca=True)
    leaf = _certificate(SUBJECT, ISSUER, own, signing, ca=False)
    key = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(ca, root.public_bytes(serialization.Encoding.PEM), 0o644)
    write(folder / "server.key", key)
    write(folder / "server.pem", leaf.public_bytes(serialization.Encoding.PEM))
    return folder / "server.key", folder / "server.pem"


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
        .add_extension(_usage(ca), critical=True)
        .add_extension(identifier(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )
    if not ca:
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        made = made.add_extension(server, critical=False)
        made = made.add_extension(_names(), critical=False)
    return made.sign(signing, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names() -> x509.SubjectAlternativeName:
    address = ipaddress.ip_address("127.0.0.1")
    return x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(address)]
    )


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
