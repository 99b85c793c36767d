"""Ports that the processes of a server share, and nobody else."""

import socket
from collections.abc import Iterator

import pytest

from server.config import StartError
from server.processes.ports import reserved
from server.transport import http

HOST = "127.0.0.1"


@pytest.fixture
def ports() -> Iterator[list[int]]:
    with reserved(HOST, 0, 0) as numbers:
        yield numbers


def refused(port: int) -> bool:
    """Whether another server cannot have the port."""
    with pytest.raises(StartError, match=f"cannot listen on {HOST}:{port}"), reserved(HOST, port, 0):
        pass
    with pytest.raises(OSError, match="in use"):
        http.bind(HOST, port)
    return True


def test_the_processes_of_a_server_listen_on_the_same_port(ports: list[int]) -> None:
    for port in ports:
        with http.bind(HOST, port, shared=True) as one, http.bind(HOST, port, shared=True) as other:
            one.listen()
            other.listen()
            assert refused(port)


def test_a_reserved_port_is_refused_to_others_before_anyone_listens(ports: list[int]) -> None:
    assert all(refused(port) for port in ports)


def test_a_port_on_which_connections_have_just_closed_can_be_reserved() -> None:
    with http.bind(HOST, 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection((HOST, port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # first: its side of the connection keeps the port for a minute
            assert client.recv(1) == b""
    with reserved(HOST, port, 0) as (number, _), http.bind(HOST, port, shared=True) as one:
        one.listen()
        assert number == port
        assert refused(port)


def test_a_system_without_shared_ports_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(StartError, match="--processes needs SO_REUSEPORT"), reserved(HOST, 0, 0):
        pass
