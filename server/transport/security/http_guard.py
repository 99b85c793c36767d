"""Certificates on HTTP, and who a caller is there."""

import ssl
from typing import Any, Self

from server.transport.http.asgi import Scope
from server.transport.security.access import Access, Caller
from server.transport.security.certificates import Certificates
from server.transport.security.names import name_in


class CurrentContext(ssl.SSLContext):
    """Another context for each connection: that of the certificates of the moment.

    Reloading files into one context would not do: authorities can only be added to it, and a client whose authority was taken away
    could resume an old session by its ticket.
    """

    certificates: Certificates

    @classmethod
    def of(cls, certificates: Certificates) -> Self:
        """For a listener, which has to be given one context."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context.certificates = certificates
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Called by the event loop when a connection begins."""
        return self.certificates.current().context.wrap_bio(*arguments, **options)


def extensions(connection: ssl.SSLObject | None) -> dict[str, dict[object, object]]:
    """What ASGI's TLS extension says of a connection, as far as we ask for it; nothing without a client certificate."""
    certificate = connection.getpeercert(binary_form=True) if connection is not None else None
    return {"tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)]}} if certificate else {}


def caller(scope: Scope, access: Access) -> Caller:
    """Who made a call."""
    token = access.name_of(dict(scope["headers"]).get(b"authorization"))
    (certificate,) = scope["extensions"].get("tls", {}).get("client_cert_chain", [""])
    host, port = scope["client"]
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Caller(token, name_in(certificate.encode()) if certificate else "", peer)
