"""Certificates and tokens on gRPC.

Tokens are looked at before a message is read, so that strangers cannot make the server read any. The interceptor is there only when
tokens are: without one, grpc.aio takes a shorter way to the handler.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc

from server.errors import ServerError
from server.transport import grpc_calls
from server.transport.calls import Calls
from server.transport.grpc_calls import Context
from server.transport.security.access import Access, Caller, Need
from server.transport.security.certificates import Certificates, Loaded
from server.transport.security.names import name_in
from server.transport.security.refusals import refuse

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"  # generic for the type checker only
Metadata = grpc.aio.Metadata | tuple[tuple[str, str | bytes], ...] | None

_HEALTH, _V2 = "/grpc.health.v1.Health/", "/inference.GRPCInferenceService/"
# Every other method needs a token.
_NEEDS = {
    **dict.fromkeys((f"{_HEALTH}{name}" for name in ("Check", "List", "Watch")), Need.NOTHING),
    **dict.fromkeys((f"{_V2}{name}" for name in ("ServerLive", "ServerReady", "ModelReady")), Need.NOTHING),
    **dict.fromkeys((f"{_V2}{name}" for name in ("RepositoryModelLoad", "RepositoryModelUnload")), Need.ADMIN),
}


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Turns away calls whose token is not what their method needs."""

    def __init__(self, access: Access, calls: Calls) -> None:
        self._access = access
        self._calls = calls

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Called by grpc.aio before it reads the call's first message."""
        method = handler_call_details.method
        need = _NEEDS.get(method, Need.TOKEN)
        handler = await continuation(handler_call_details)
        try:
            self._access.admit(need, _authorization(handler_call_details.invocation_metadata))
        except ServerError as error:
            # No such method: a stranger must not make a metric of every name that he can think of.
            return self._refusal(error, need, method.rpartition("/")[2] if handler else "")
        return handler

    def _refusal(self, error: ServerError, need: Need, rpc: str) -> Handler:
        async def answer(_: AsyncIterator[Any], context: Context) -> None:
            request_id = self._calls.request_id(await grpc_calls.begin(context, ""))
            try:
                refuse(error, self._calls, need, rpc, "", request_id, caller(context, self._access))
            except ServerError as refused:
                await grpc_calls.abort(context, refused, request_id)

        # Streams are the same on the wire as single messages, and a stream need not be read to be answered.
        return grpc.stream_stream_rpc_method_handler(answer)


def caller(context: Context, access: Access) -> Caller:
    """Who made a call."""
    token = access.name_of(_authorization(context.invocation_metadata()))
    certificate = b"".join(context.auth_context().get("x509_pem_cert", ()))
    peer = unquote(context.peer()).removeprefix("ipv4:").removeprefix("ipv6:")
    return Caller(token, name_in(certificate) if certificate else "", peer)


def credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """TLS with the certificates of the moment; gRPC asks for them at each handshake, in threads of its own."""
    told = first = certificates.current()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal told
        now = certificates.current()
        if now is told:
            return None
        told = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(first), changed, first.client_ca is not None)  # type: ignore[arg-type]  # None is "no change"


def _configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(loaded.key, loaded.chain)], loaded.client_ca)


def _authorization(metadata: Metadata) -> bytes | None:
    for name, value in metadata or ():
        if name == "authorization":
            return value if isinstance(value, bytes) else value.encode()
    return None
