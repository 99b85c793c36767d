"""Counts the bytes that a client sends, which no gRPC server can see once they are decompressed."""

import contextlib
import socket
import threading
from typing import Self


class Meter:
    """Stands between one connection's client and server for the length of a `with` block."""

    def __init__(self, target: str) -> None:
        host, port = target.split(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.bytes_sent = 0
        self._thread = threading.Thread(target=self._relay)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _relay(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=_pass_on, args=(server, client))
            back.start()
            self.bytes_sent = _pass_on(client, server)
            back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> int:
    total = 0
    with contextlib.suppress(OSError):  # either side may be gone first
        while data := source.recv(1 << 16):
            total += len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    return total
