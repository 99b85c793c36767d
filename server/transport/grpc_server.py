"""The gRPC port: the classifier, the Open Inference Protocol, health and reflection on one server."""

import logging
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2, open_inference_pb2_grpc
from server.config import Bounds
from server.transport.calls import Calls
from server.transport.classifier import ImageClassifier
from server.transport.grpc_methods import Methods, Reading, TurnAway
from server.transport.health import Health
from server.transport.outbox import Outbox
from server.transport.security.access import Access
from server.transport.security.certificates import Certificates
from server.transport.security.grpc_guard import TokenInterceptor, credentials
from server.transport.v2.grpc_service import InferenceService

# Room for the message around the images, which the request limit is about.
_ENVELOPE_BYTES = 64 * 1024

# A connection through a load balancer or a NAT gateway dies silently when it idles for some minutes (AWS 350 s, Azure 4
# minutes), and one whose client lost power never says so: the server asks after a minute without traffic.
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may do the same, also between calls, every ten seconds or so (half of that is the limit). By default, gRPC
    # servers take offence below five minutes and close the connection with ENHANCE_YOUR_CALM.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


# grpc.aio's own logger, and how a line of it begins that tells, with a traceback, of an answer whose caller had left or run out of time
# while it was on its way. That is nobody's fault, counted where the call is, and a flood of lines under overload.
_GRPC_LOG = logging.getLogger("grpc._cython.cygrpc")
_ANSWERED_TOO_LATE = "ExecuteBatchError raised in core"

# Calls on one connection at a time; what a client wants beyond it waits there.
_MOST_STREAMS = 1024
# Calls that have come and that nobody has looked at yet. Beyond 1,000, a bad second of the machine, gRPC would begin to end them as
# CANCELLED, which tells the caller neither why nor that it may come again; ours are answered, and each holds little until it is read.
_MOST_PENDING = 20_000
_UNREAD_BYTES = 16 * 1024
_METADATA_BYTES = 16 * 1024
_DEFAULT_BOUNDS = Bounds()


def build(
    classifier: ImageClassifier,
    inference: InferenceService,
    health: Health,
    calls: Calls,
    access: Access,
    max_request_bytes: int,
    bounds: Bounds = _DEFAULT_BOUNDS,
    *,
    outbox: Outbox,
    turn_away: TurnAway,
    shared: bool = False,
) -> grpc.aio.Server:
    """The server with all its services, not bound to a port yet; `shared` with the other processes of this server.

    `turn_away` is asked before a picture is read, and raises when there is no room for any.
    """
    _GRPC_LOG.addFilter(_is_worth_a_line)
    options = [
        ("grpc.max_receive_message_length", max_request_bytes + _ENVELOPE_BYTES),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port by accident would share its connections silently; better the second one fails. (Processes of one
        # server share a port that `processes.ports` has reserved for them.)
        ("grpc.so_reuseport", int(shared)),
        *_KEEPALIVE,
        *_bounded(bounds),
    ]
    interceptors = [TokenInterceptor(access, calls)] if access.needs_tokens else []
    server = grpc.aio.server(interceptors=interceptors, options=options)
    reading = Reading(max(1, bounds.max_reading_bytes // max_request_bytes))
    methods: Any = Methods(server, calls, reading, outbox, turn_away)  # generated code wants a server
    rpc.add_ImageClassifierServicer_to_server(classifier, methods)
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, methods)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, methods)
    names = [
        pb.DESCRIPTOR.services_by_name["ImageClassifier"].full_name,
        open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    ]
    reflected = reflection.aio.ReflectionServicer(names)
    ending: Any = Methods(server, calls, reading, outbox, turn_away, in_place=False)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, ending)  # type: ignore[no-untyped-call]
    return server


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_ANSWERED_TOO_LATE)


def _bounded(bounds: Bounds) -> list[tuple[str, int]]:
    """What one client may take of the server, as gRPC calls it."""
    options = [
        ("grpc.max_allowed_incoming_connections", bounds.max_connections),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        # What a call that nobody reads yet may send; with the probe, gRPC would let it grow to megabytes. Whoever is read is let send all at
        # once, so a picture takes no more round trips than with the 64 KiB that gRPC begins with.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _UNREAD_BYTES),
    ]
    if bounds.max_connection_age_seconds:
        options.append(("grpc.max_connection_age_ms", round(bounds.max_connection_age_seconds * 1000)))
    return options


def bind(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> int:
    """Binds the server to `address`, host:port, with TLS when there are certificates; the port. Raises RuntimeError."""
    if certificates is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials(certificates))
