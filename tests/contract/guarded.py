"""Servers that do not let everyone in, and asking them."""

import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.certificates import HOST, Authority, Issued
from tests.contract.http.asking import Answer

ALICE, ADMIN = "alice-" + "a" * 20, "admin-" + "b" * 20


@dataclass(frozen=True)
class Files:
    """What a server is started with, in one folder."""

    folder: Path
    models: Path

    @property
    def ca(self) -> Path:
        """Of the server's certificate."""
        return self.folder / "ca.pem"

    def write_tokens(self, text: str) -> None:
        """Replaces the file of ordinary tokens."""
        beside = self.folder / "tokens.new"
        beside.write_text(text)
        beside.chmod(0o600)
        beside.replace(self.folder / "tokens")


def files(folder: Path, authority: Authority) -> Files:
    """A model `shapes`, a certificate of `authority`, which is that of the clients, too, and a token for each use."""
    make_bundle(folder / "models/shapes/1")
    authority.write(folder, "ca")
    authority.write(folder, "clients")
    authority.issue("server").write(folder, "server")
    made = Files(folder, folder / "models")
    made.write_tokens(f"alice {ALICE}\n")
    admins = folder / "admins"
    admins.write_text(f"ops {ADMIN}\n")
    admins.chmod(0o600)
    return made


class Log:
    """What a server logs, read as it comes: it is written by a thread, after the answer perhaps."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.lines: list[str] = []  # those that have been read

    def until(self, text: str) -> str:
        """The first line with this text, which everything that is logged before is read up to."""
        for line in self.lines:
            if text in line:
                return line
        for line in self._stream:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"the server ended and did not log {text!r}")


@dataclass(frozen=True)
class Guarded:
    """A server that does not let everyone in."""

    server: RunningServer
    files: Files
    log: Log

    @property
    def probes(self) -> str:
        """Address of the port for probes."""
        return self.server.addresses["probes"]


@contextmanager
def guarded(of: Files, *options: str) -> Iterator[Guarded]:
    """A server that speaks TLS only, with further options."""
    tls = ("--tls-cert", str(of.folder / "server.pem"), "--tls-key", str(of.folder / "server.key"))
    read, write = os.pipe()
    with os.fdopen(read) as lines, os.fdopen(write, "w") as log, serving(of.models, *tls, *options, log=log) as running:
        log.close()  # so that its end is seen
        yield Guarded(running, of, Log(lines))


def client_ca(of: Files) -> tuple[str, str]:
    """The option that asks clients for certificates."""
    return "--client-ca", str(of.folder / "clients.pem")


def tokens(of: Files) -> tuple[str, ...]:
    """The options that ask clients for tokens."""
    return "--token-file", str(of.folder / "tokens"), "--admin-token-file", str(of.folder / "admins")


def credentials(of: Files, client: Issued | None = None) -> grpc.ChannelCredentials:
    """A client's, for gRPC."""
    return grpc.ssl_channel_credentials(
        of.ca.read_bytes(), client.key if client else None, client.chain if client else None
    )


def context(of: Files, client: Issued | None = None) -> ssl.SSLContext:
    """A client's, for HTTP."""
    made = ssl.create_default_context(cafile=of.ca)
    if client is not None:
        made.load_cert_chain(*client.write(of.folder, "client"))
    return made


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The token as metadata, or as header."""
    return (("authorization", f"Bearer {token}"),)


def connection(server: RunningServer, of: Files, client: Issued | None = None) -> http.client.HTTPSConnection:
    """A connection that stays open from request to request."""
    return http.client.HTTPSConnection(server.http, timeout=60, context=context(of, client))


def plain(address: str) -> http.client.HTTPConnection:
    """One without TLS."""
    return http.client.HTTPConnection(address, timeout=60)


def ask(on: http.client.HTTPConnection, method: str, path: str, token: str = "") -> Answer:
    """One request."""
    on.request(method, path, headers=dict(bearer(token)) if token else {})
    response = on.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def serial_number(on: http.client.HTTPSConnection) -> int:
    """Of the certificate that the server has shown on an open connection."""
    assert isinstance(on.sock, ssl.SSLSocket)
    shown = on.sock.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


def served_serial_number(server: RunningServer, of: Files) -> int:
    """Of the certificate that the server shows to a new gRPC connection."""
    host, _, port = server.grpc.rpartition(":")
    made = context(of)
    made.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port))) as plain, made.wrap_socket(plain, server_hostname=HOST) as tls:
        shown = tls.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)
