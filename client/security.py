"""Proving who the server is, and who the caller is: TLS and bearer tokens.

Tokens travel as metadata of each call and not as gRPC's call credentials, which refuse a connection without TLS: behind a service mesh
the connection to the proxy beside us is plain, and the one that leaves the machine is not.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

# A token, or what gives the one of the moment; an empty one is not sent.
Token = str | Callable[[], str]


@dataclass(frozen=True)
class Tls:
    """A connection by TLS. Files are in PEM form.

    ca           authorities, one of which must have signed the server's certificate; without it those that gRPC brings along
    cert, key    the caller's own certificate and its private key, for servers that ask for one (mutual TLS)
    server_name  the name that the server's certificate must have, where it is not the one in the target, as behind a forwarded port
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""


def credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Reads the files. Raises OSError, and ValueError when they are not what they should be."""
    if (tls.cert is None) != (tls.key is None):
        raise ValueError("a certificate takes its private key, and a key its certificate: name both")
    # Only to find mistakes, of which gRPC tells late and little.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca, cert, key = (None if path is None else path.read_bytes() for path in (tls.ca, tls.cert, tls.key))
    try:
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except ssl.SSLError as error:
        raise ValueError(f"{tls.ca}: has no certificate in PEM form") from error
    try:
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, lambda: "")
    except ssl.SSLError as error:
        raise ValueError(f"{tls.cert}, {tls.key}: no certificate and its unencrypted key, both in PEM form") from error
    return grpc.ssl_channel_credentials(ca, key, cert)


def options(tls: Tls) -> tuple[tuple[str, str], ...]:
    """Options of a channel."""
    return (("grpc.ssl_target_name_override", tls.server_name),) if tls.server_name else ()


def authorization(token: Token) -> tuple[tuple[str, str], ...]:
    """The token as metadata. Raises ValueError when it cannot be sent; the message does not show it."""
    text = token if isinstance(token, str) else token()
    if not text:
        return ()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a token is printable ASCII without spaces")
    return (("authorization", f"Bearer {text}"),)
