"""The server's certificate, and the authorities whose clients it lets in, as their files have them now.

Every connection begins with what the files say at that moment; those that are open stay. What Python's ssl makes of the files is for
HTTP and the proof that they fit together, the files' own bytes are for gRPC, which has a TLS of its own.
"""

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.config import Security
from server.events import CertificateRead, Events
from server.transport.security.watched import FileError, Watched, read_bytes, read_secret

log = logging.getLogger(__name__)

CERT, KEY, CLIENT_CA = "--tls-cert", "--tls-key", "--client-ca"


@dataclass(frozen=True)
class Loaded:
    """What the files held when they were read. `chain`, `key` and `client_ca` are PEM; without `client_ca` anyone may connect."""

    context: ssl.SSLContext
    chain: bytes
    key: bytes
    client_ca: bytes | None
    expires: datetime  # when the first certificate of the chain does


class Certificates:
    """Reads the files again when they change. Safe to use from several threads: gRPC asks in its own."""

    def __init__(self, security: Security, events: Events) -> None:
        """Raises FileError."""
        paths = [path for path in (security.tls_cert, security.tls_key, security.client_ca) if path is not None]
        self._security = security
        self._events = events
        self._watched = Watched(paths, self._read)

    def current(self) -> Loaded:
        """For a connection that begins now."""
        return self._watched.current()

    def _read(self) -> Loaded:
        loaded = read(self._security)
        how = "expired on" if loaded.expires <= datetime.now(UTC) else "expires on"
        level = logging.WARNING if how == "expired on" else logging.INFO
        log.log(level, "certificate %s %s %s", self._security.tls_cert, how, f"{loaded.expires:%Y-%m-%d %H:%M} UTC")
        self._events.emit(CertificateRead(str(self._security.tls_cert), loaded.expires.timestamp()))
        return loaded


def read(security: Security) -> Loaded:
    """Reads the files and makes sure that they can be used together. Raises FileError."""
    if security.tls_cert is None or security.tls_key is None:
        raise ValueError("TLS takes a certificate and a key")
    chain, key = read_bytes(CERT, security.tls_cert), read_secret(KEY, security.tls_key)
    expires = min(_expiries(CERT, security.tls_cert, chain))
    context = _context(security.tls_cert, security.tls_key, key)
    client_ca = None if security.client_ca is None else _ask_clients(context, security.client_ca)
    return Loaded(context, chain, key, client_ca, expires)


def _ask_clients(context: ssl.SSLContext, path: Path) -> bytes:
    """Makes the context ask for certificates of the authorities in the file, and gives what is in it. Raises FileError."""
    pem = read_bytes(CLIENT_CA, path)
    _expiries(CLIENT_CA, path, pem)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=pem.decode("latin-1"))
    except ssl.SSLError as error:
        raise FileError(CLIENT_CA, path, f"has a certificate that cannot be used: {error.reason}") from error
    return pem


def _expiries(option: str, path: Path, pem: bytes) -> list[datetime]:
    """When each of the certificates expires, of which there is at least one. Raises FileError."""
    from cryptography import x509  # most servers have no certificate

    try:
        return [each.not_valid_after_utc for each in x509.load_pem_x509_certificates(pem)]
    except ValueError as error:
        raise FileError(option, path, "has no certificate in PEM form (-----BEGIN CERTIFICATE-----)") from error


def _context(cert: Path, key: Path, pem: bytes) -> ssl.SSLContext:
    if b"ENCRYPTED" in pem:
        raise FileError(
            KEY, key, "is encrypted, and nobody is there to type a password; decrypt it: openssl pkey -in KEY"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        reason = f"does not belong to the certificate {cert}" if mismatch else "is no private key in PEM form"
        raise FileError(KEY, key, reason) from error
    except OSError as error:  # gone, since it was read a moment ago
        raise FileError(KEY, key, f"cannot be read with {cert}: {error.strerror}") from error
    return context
