"""`python -m server.healthcheck`: does the server of this container want traffic? Asked by grpc.health.v1, as a load balancer would.

For whoever runs a command to find out: Docker's HEALTHCHECK, an exec probe. (Kubernetes since 1.24 asks by gRPC itself.) It is run
again and again for as long as the container lives, so it loads nothing of the server, and argparse, which takes a third of typer's time.
Where the server listens and whether it speaks TLS is read from the server's own SEETHROUGH_* variables.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class UnhealthyError(Exception):
    """Not serving, or not known to be; the message says why."""


def main() -> None:
    """Ends with status 0 when the server is SERVING, 1 with the reason when it is not, 2 on wrong usage."""
    given = _arguments()
    try:
        check(given.target, given.service, given.timeout, os.environ)
    except UnhealthyError as error:
        sys.exit(f"unhealthy: {error}")


def check(target: str, service: str, seconds: float, environment: Mapping[str, str]) -> None:
    """Asks once, for at most `seconds`. `target` is host:port; empty for what the server's variables say.

    Raises UnhealthyError. A server that only takes clients with a certificate is asked at its probe port, which is for those without one.
    """
    port = environment.get("SEETHROUGH_PROBE_PORT")
    if port and not target:
        _ask_http(int(port), seconds)
    elif environment.get("SEETHROUGH_CLIENT_CA") and not target:
        raise UnhealthyError(
            "clients need a certificate (SEETHROUGH_CLIENT_CA); set SEETHROUGH_PROBE_PORT to have a port for probes"
        )
    else:
        target = target or f"127.0.0.1:{environment.get('SEETHROUGH_GRPC_PORT') or 8001}"
        _ask_grpc(target, service, seconds, environment.get("SEETHROUGH_TLS_CERT"))


def _ask_grpc(target: str, service: str, seconds: float, certificate: str | None) -> None:
    with _channel(target, certificate) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(service=service), timeout=seconds
            )
        except grpc.RpcError as error:
            raise UnhealthyError(f"{target} answers {error.code().name}: {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise UnhealthyError(
            f"{service or 'the server'} is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"
        )


def _channel(target: str, certificate: str | None) -> grpc.Channel:
    """With TLS when the server has a certificate. That one is trusted and no other, under the name that it was issued for."""
    if not certificate:
        return grpc.insecure_channel(target)
    try:
        chain = Path(certificate).read_bytes()
    except OSError as error:
        raise UnhealthyError(f"cannot read SEETHROUGH_TLS_CERT {certificate}: {error.strerror}") from error
    named = [("grpc.ssl_target_name_override", _name(chain))]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(chain), options=named)


def _name(chain: bytes) -> str:
    """A host name that the first certificate of a PEM file is good for."""
    from cryptography import x509

    leaf = x509.load_pem_x509_certificates(chain)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    every = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return every[0].replace("*", "any")


def _ask_http(port: int, seconds: float) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        reason = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise UnhealthyError(f"127.0.0.1:{port}/readyz: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise UnhealthyError(reason)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m server.healthcheck",
        description="Ask a server by grpc.health.v1 whether it wants traffic: status 0 when it does, 1 with the reason when it does not. "
        "Port and TLS are what the variables SEETHROUGH_GRPC_PORT, SEETHROUGH_TLS_CERT and SEETHROUGH_PROBE_PORT tell the server.",
    )
    parser.add_argument(
        "--target", default="", metavar="HOST:PORT", help="Ask there by gRPC, whatever the variables say."
    )
    parser.add_argument(
        "--service",
        default="",
        metavar="NAME",
        help="Ask about this model or gRPC service; without it, about the server as a whole.",
    )
    parser.add_argument(
        "--timeout", type=float, default=2.0, metavar="SECONDS", help="Count no answer in this time as unhealthy (2)."
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
