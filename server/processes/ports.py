"""Ports, reserved for the processes of one server.

SO_REUSEPORT lets every process of a user listen on a port that has it, also those of another server, which would share its connections
without a word. So the supervisor holds each port with a socket that never listens, bound as if the port were not to be shared; only then
is sharing switched on, for processes that ask for it too. Another server asks for the port unshared first and is refused.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from server.config import StartError


@contextmanager
def reserved(host: str, *ports: int) -> Iterator[list[int]]:
    """Holds the ports for the block, and gives their numbers: 0 takes a free one.

    Raises StartError when one is taken, or when the system cannot share ports.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("--processes needs SO_REUSEPORT, which this system does not have; use Linux, or one process")
    with ExitStack() as held:
        yield [held.enter_context(_reserve(host, port)).getsockname()[1] for port in ports]


def _reserve(host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port, beside_closed_connections=False)
    except OSError:
        pass
    try:
        # Connections of a server that has ended keep its port for a minute (TIME_WAIT); SO_REUSEADDR binds beside them.
        return _bound(host, port, beside_closed_connections=True)
    except OSError as error:
        raise StartError.port_taken(host, port, error) from error


def _bound(host: str, port: int, *, beside_closed_connections: bool) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, beside_closed_connections)
        bound.bind((host, port))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        bound.close()
        raise
    return bound
