"""The gRPC port: the classifier, the Open Inference Protocol, health and reflection on one server."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2, open_inference_pb2_grpc
from server.transport.classifier import ImageClassifier
from server.transport.health import Health
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


def build(
    classifier: ImageClassifier,
    inference: InferenceService,
    health: Health,
    max_request_bytes: int,
    *,
    shared: bool = False,
) -> grpc.aio.Server:
    """The server with all its services, not bound to a port yet; `shared` with the other processes of this server."""
    options: list[tuple[str, int]] = [
        ("grpc.server.max_pending_requests", 32),
        ("grpc.server.max_pending_requests_hard_limit", 64),
        ("grpc.max_receive_message_length", max_request_bytes + _ENVELOPE_BYTES),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port by accident would share its connections silently; better the second one fails. (Processes of one
        # server share a port that `processes.ports` has reserved for them.)
        ("grpc.so_reuseport", int(shared)),
        *_KEEPALIVE,
    ]
    server = grpc.aio.server(options=options)
    rpc.add_ImageClassifierServicer_to_server(classifier, server)
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = [
        pb.DESCRIPTOR.services_by_name["ImageClassifier"].full_name,
        open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    ]
    reflection.enable_server_reflection(names, server)
    return server
