"""Authorities and the certificates that they sign, made anew by each test."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, in PEM form."""

    certificate: x509.Certificate
    chain: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes NAME.pem and NAME.key; whoever reads them meanwhile sees the old ones or the new ones, never a half."""
        return _replace(folder / f"{name}.pem", self.chain), _replace(folder / f"{name}.key", self.key)


class Authority:
    """Signs certificates."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = self._sign(self._name, self._key, datetime.now(UTC) + _YEAR, is_authority=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *, expired: bool = False) -> Issued:
        """A certificate of this name, for this machine; valid for a year from yesterday, or until an hour ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = datetime.now(UTC) + (timedelta(hours=-1) if expired else _YEAR)
        signed = self._sign(_named(name), key, until, is_authority=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Issued(signed, signed.public_bytes(serialization.Encoding.PEM), private)

    def write(self, folder: Path, name: str) -> Path:
        """Writes NAME.pem."""
        return _replace(folder / f"{name}.pem", self.pem)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime, *, is_authority: bool
    ) -> x509.Certificate:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _replace(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    beside.chmod(0o600)
    return beside.replace(path)
