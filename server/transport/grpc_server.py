"""The gRPC port: the classifier, health and reflection on one server."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.transport.classifier import ImageClassifier
from server.transport.health import Health

# Room for the message around the images, which the request limit is about.
_ENVELOPE_BYTES = 64 * 1024


def build(classifier: ImageClassifier, health: Health, max_request_bytes: int) -> grpc.aio.Server:
    """The server with all its services, not bound to a port yet."""
    options = [
        ("grpc.max_receive_message_length", max_request_bytes + _ENVELOPE_BYTES),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port by accident would share its connections silently; better the second one fails.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    rpc.add_ImageClassifierServicer_to_server(classifier, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = [
        pb.DESCRIPTOR.services_by_name["ImageClassifier"].full_name,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    ]
    reflection.enable_server_reflection(names, server)
    return server
