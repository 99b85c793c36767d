"""Certificates and tokens change while connections are open: nobody is cut off, and who comes next meets what is there then."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.certificates import Authority, Issued
from tests.contract import guarded
from tests.contract.guarded import ALICE, Files, ask, bearer, served_serial_number
from tests.contract.refusals import refusal

AUTHORITY, SUCCESSOR = Authority("authority"), Authority("successor")
NEW = "alice-" + "n" * 20


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return guarded.files(tmp_path, AUTHORITY)


def test_a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on(files: Files) -> None:
    with (
        guarded.guarded(files) as running,
        grpc.secure_channel(running.server.grpc, guarded.credentials(files)) as channel,
    ):
        stub = rpc.ImageClassifierStub(channel)
        first = guarded.connection(running.server, files)
        stub.ListModels(pb.ListModelsRequest())
        ask(first, "GET", "/livez")
        new = AUTHORITY.issue("server")
        new.write(files.folder, "server")
        second = guarded.connection(running.server, files)
        ask(second, "GET", "/livez")
        assert (
            guarded.serial_number(second)
            == served_serial_number(running.server, files)
            == new.certificate.serial_number
        )
        assert guarded.serial_number(first) != new.certificate.serial_number
        assert ask(first, "GET", "/livez").status == 200
        assert stub.ListModels(pb.ListModelsRequest()).models
        first.close()
        second.close()


def test_a_certificate_that_cannot_be_used_leaves_the_old_one_in_use_and_is_told_once(files: Files) -> None:
    with guarded.guarded(files) as running:
        before = served_serial_number(running.server, files)
        (files.folder / "server.pem").write_text("no certificate")
        assert served_serial_number(running.server, files) == before
        connection = guarded.connection(running.server, files)
        assert ask(connection, "GET", "/livez").status == 200
        assert guarded.serial_number(connection) == before
        ask(connection, "POST", "/v2/repository/models/shapes/load")  # which is logged after what was before
        connection.close()
        running.log.until("seethrough.audit")
        told = [line for line in running.log.lines if "has no certificate in PEM form" in line]
        assert len(told) == 1


def test_an_expired_certificate_is_served_and_warned_of(files: Files) -> None:
    """Whether to trust it is for the clients to say; a server that is down helps none of them."""
    expired = AUTHORITY.issue("server", expired=True)
    expired.write(files.folder, "server")
    with (
        guarded.guarded(files) as running,
        grpc.secure_channel(running.server.grpc, guarded.credentials(files)) as channel,
    ):
        code, message = refusal(rpc.ImageClassifierStub(channel).ListModels, pb.ListModelsRequest())
        assert (code, "certificate has expired" in message) == (grpc.StatusCode.UNAVAILABLE, True)
        date = f"{expired.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        assert running.log.until(f"server.pem expired on {date}")


def test_clients_of_an_authority_that_was_taken_away_are_let_in_no_more(files: Files) -> None:
    old, new = AUTHORITY.issue("shop"), SUCCESSOR.issue("shop")
    with guarded.guarded(files, *guarded.client_ca(files)) as running:
        assert admitted(running.server, files, old) == (True, True)
        assert admitted(running.server, files, new) == (False, False)
        SUCCESSOR.write(files.folder, "clients")
        assert admitted(running.server, files, new) == (True, True)
        assert admitted(running.server, files, old) == (False, False)


def admitted(server: RunningServer, files: Files, client: Issued) -> tuple[bool, bool]:
    """Whether a client gets answers on a new connection, by gRPC and by HTTP."""
    connection = guarded.connection(server, files, client)
    try:
        by_http = ask(connection, "GET", "/livez").status == 200
    except ConnectionError:
        by_http = False
    finally:
        connection.close()
    # Without sharing, gRPC makes a connection for each channel, also where their settings are the same.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(server.grpc, guarded.credentials(files, client), alone) as channel:
        call = rpc.ImageClassifierStub(channel).ListModels.future(pb.ListModelsRequest())
        assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        return call.code() is grpc.StatusCode.OK, by_http


def test_a_session_of_before_does_not_let_a_client_in_whose_authority_was_taken_away(files: Files) -> None:
    with guarded.guarded(files, *guarded.client_ca(files)) as running:
        connection = guarded.connection(running.server, files, AUTHORITY.issue("shop"))
        ask(connection, "GET", "/livez")
        assert isinstance(connection.sock, ssl.SSLSocket)
        context, session = connection.sock.context, connection.sock.session
        connection.close()
        assert resumes(running.server, context, session)
        SUCCESSOR.write(files.folder, "clients")
        assert not resumes(running.server, context, session)


def resumes(server: RunningServer, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    """Whether the server takes up a session, without looking at the client's certificate again."""
    host, _, port = server.http.rpartition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain, server_hostname=host, session=session) as tls,
    ):
        return bool(tls.session_reused)


def test_tokens_are_handed_out_and_taken_away_under_an_open_connection(files: Files) -> None:
    with (
        guarded.guarded(files, *guarded.tokens(files)) as running,
        grpc.secure_channel(running.server.grpc, guarded.credentials(files)) as channel,
    ):
        stub = rpc.ImageClassifierStub(channel)
        connection = guarded.connection(running.server, files)

        def let_in(token: str) -> Iterator[bool]:
            call = stub.ListModels.future(pb.ListModelsRequest(), metadata=bearer(token))
            assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
            yield call.code() is grpc.StatusCode.OK
            yield ask(connection, "GET", "/v1/models", token).status == 200

        assert [*let_in(ALICE), *let_in(NEW)] == [True, True, False, False]
        files.write_tokens(f"alice {ALICE}\nalice-new {NEW}\n")
        assert [*let_in(ALICE), *let_in(NEW)] == [True, True, True, True]
        files.write_tokens(f"alice-new {NEW}\n")
        assert [*let_in(ALICE), *let_in(NEW)] == [False, False, True, True]
        connection.close()


def test_metrics_that_need_a_token_are_not_at_the_port_for_probes(files: Files) -> None:
    with guarded.guarded(files, *guarded.tokens(files), "--metrics-need-token", "--probe-port", "0") as running:
        connection, probes = guarded.connection(running.server, files), guarded.plain(running.probes)
        assert [ask(connection, "GET", "/metrics", token).status for token in ("", ALICE)] == [401, 200]
        assert [ask(probes, "GET", path, ALICE).status for path in ("/livez", "/metrics")] == [200, 404]
        connection.close()
        probes.close()


def test_several_processes_share_certificates_tokens_and_the_port_for_probes(files: Files) -> None:
    options = (*guarded.client_ca(files), *guarded.tokens(files), "--processes", "2", "--probe-port", "0")
    client = AUTHORITY.issue("shop")
    with guarded.guarded(files, *options) as running:
        probes = guarded.plain(running.probes)
        assert ask(probes, "GET", "/readyz").body == b"ok\n"
        for _ in range(4):  # the kernel chooses which process gets a connection
            assert admitted_with_token(running.server, files, client) == (200, 401)
        page = ask(probes, "GET", "/metrics").body.decode()
        assert 'seethrough_requests_total{code="UNAUTHENTICATED",model="",rpc="ListModels",version=""} 4.0' in page
        probes.close()


def admitted_with_token(server: RunningServer, files: Files, client: Issued) -> tuple[int, int]:
    """The statuses with and without the token, on a new connection."""
    connection = guarded.connection(server, files, client)
    try:
        return ask(connection, "GET", "/v1/models", ALICE).status, ask(connection, "GET", "/v1/models").status
    finally:
        connection.close()
