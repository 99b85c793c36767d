"""Who is let in by a server that asks for certificates and tokens, and what the others are told, on both transports."""

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.certificates import Authority, Issued
from tests.contract import guarded
from tests.contract.guarded import ADMIN, ALICE, Guarded, ask, bearer
from tests.contract.refusals import refusal
from tests.e2e.tools import needed

AUTHORITY, STRANGERS = Authority("authority"), Authority("strangers")
CLIENT = AUTHORITY.issue("shop")
LOAD = "/v2/repository/models/shapes/load"
UNKNOWN = "nobody-" + "x" * 20


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Asks for everything that can be asked for, except at the port for probes."""
    files = guarded.files(tmp_path_factory.mktemp("strict"), AUTHORITY)
    asked = (*guarded.client_ca(files), *guarded.tokens(files), "--probe-port", "0", "--log-level", "warning")
    with guarded.guarded(files, *asked) as started:
        yield started


@pytest.fixture
def channel(strict: Guarded) -> Iterator[grpc.Channel]:
    """With a certificate that is let in."""
    with grpc.secure_channel(strict.server.grpc, guarded.credentials(strict.files, CLIENT)) as opened:
        yield opened


@pytest.fixture
def connection(strict: Guarded) -> Iterator[http.client.HTTPSConnection]:
    """With a certificate that is let in."""
    opened = guarded.connection(strict.server, strict.files, CLIENT)
    yield opened
    opened.close()


STRANGER = pytest.mark.parametrize(
    "client",
    [None, STRANGERS.issue("shop"), AUTHORITY.issue("shop", expired=True)],
    ids=["no certificate", "of another authority", "expired"],
)


@STRANGER
def test_a_client_without_a_good_certificate_gets_no_connection_by_grpc(strict: Guarded, client: Issued | None) -> None:
    with grpc.secure_channel(strict.server.grpc, guarded.credentials(strict.files, client)) as channel:
        code, _ = refusal(rpc.ImageClassifierStub(channel).ListModels, pb.ListModelsRequest())
    assert code is grpc.StatusCode.UNAVAILABLE


@STRANGER
def test_a_client_without_a_good_certificate_gets_no_answer_by_http(strict: Guarded, client: Issued | None) -> None:
    connection = guarded.connection(strict.server, strict.files, client)
    # In TLS 1.3 the client has done its part when the server refuses it, so that its first request meets the end of the connection.
    with pytest.raises((ConnectionError, ssl.SSLEOFError)):
        ask(connection, "GET", "/livez")
    connection.close()


def test_plain_clients_get_nothing_from_ports_that_speak_tls(strict: Guarded) -> None:
    with grpc.insecure_channel(strict.server.grpc) as channel:
        code, _ = refusal(rpc.ImageClassifierStub(channel).ListModels, pb.ListModelsRequest())
    assert code is grpc.StatusCode.UNAVAILABLE
    connection = guarded.plain(strict.server.http)
    with pytest.raises(ConnectionError):
        ask(connection, "GET", "/livez")
    connection.close()


def test_tls_older_than_1_2_is_refused(strict: Guarded) -> None:
    old = guarded.context(strict.files, CLIENT)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    connection = http.client.HTTPSConnection(strict.server.http, timeout=60, context=old)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        ask(connection, "GET", "/livez")
    connection.close()


@pytest.mark.parametrize("token", ["", UNKNOWN], ids=["none", "unknown"])
def test_without_a_known_token_calls_are_unauthenticated(
    channel: grpc.Channel, connection: http.client.HTTPSConnection, token: str
) -> None:
    along = bearer(token) if token else ()
    stub = rpc.ImageClassifierStub(channel)
    unknown: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/no.such/Method")
    calls: list[Callable[[], object]] = [
        lambda: stub.ListModels(pb.ListModelsRequest(), metadata=along),
        lambda: stub.Classify(pb.ClassifyRequest(model="shapes"), metadata=along),
        lambda: list(stub.ClassifyStream(iter(()), metadata=along)),
        lambda: list(reflection(channel, along)),
        lambda: unknown(b"", metadata=along),
        lambda: GRPCInferenceServiceStub(channel).RepositoryModelLoad(
            v2.RepositoryModelLoadRequest(model_name="shapes"), metadata=along
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert token not in (refused.value.details() or "") or not token
    for method, path in (
        ("GET", "/v1/models"),
        ("GET", "/openapi.json"),
        ("POST", "/v2/models/shapes/infer"),
        ("POST", LOAD),
    ):
        answer = ask(connection, method, path, token)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert not token or token not in answer.error


def reflection(channel: grpc.Channel, along: tuple[tuple[str, str], ...]) -> Iterator[object]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    answers: Iterator[object] = stub.ServerReflectionInfo(iter(asked), metadata=along)  # type: ignore[operator]  # missing in the types
    return answers


@pytest.mark.parametrize("token", [ALICE, ADMIN], ids=["ordinary", "admin"])
def test_a_known_token_may_call(channel: grpc.Channel, connection: http.client.HTTPSConnection, token: str) -> None:
    (model,) = rpc.ImageClassifierStub(channel).ListModels(pb.ListModelsRequest(), metadata=bearer(token)).models
    assert model.name == "shapes"
    assert list(reflection(channel, bearer(token)))
    assert ask(connection, "GET", "/v1/models", token).json["models"][0]["name"] == "shapes"


def test_an_ordinary_token_may_not_load_and_unload(
    channel: grpc.Channel, connection: http.client.HTTPSConnection
) -> None:
    stub = GRPCInferenceServiceStub(channel)
    for call in (
        lambda: stub.RepositoryModelLoad(v2.RepositoryModelLoadRequest(model_name="shapes"), metadata=bearer(ALICE)),
        lambda: stub.RepositoryModelUnload(
            v2.RepositoryModelUnloadRequest(model_name="shapes"), metadata=bearer(ALICE)
        ),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    for path in (LOAD, LOAD.replace("/load", "/unload")):
        assert ask(connection, "POST", path, ALICE).status == 403


def test_an_admin_token_may_load(channel: grpc.Channel, connection: http.client.HTTPSConnection) -> None:
    request = v2.RepositoryModelLoadRequest(model_name="shapes")
    GRPCInferenceServiceStub(channel).RepositoryModelLoad(request, metadata=bearer(ADMIN))
    assert ask(connection, "POST", LOAD, ADMIN).status == 200


def test_health_and_metrics_need_no_token(channel: grpc.Channel, connection: http.client.HTTPSConnection) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
    assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    stub = GRPCInferenceServiceStub(channel)
    assert stub.ServerLive(v2.ServerLiveRequest()).live
    assert stub.ServerReady(v2.ServerReadyRequest()).ready
    assert stub.ModelReady(v2.ModelReadyRequest(name="shapes")).ready
    paths = ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/v2/models/shapes/ready")
    assert {path: ask(connection, "GET", path).status for path in paths} == dict.fromkeys(paths, 200)


def test_the_port_for_probes_is_plain_and_has_nothing_else(strict: Guarded) -> None:
    connection = guarded.plain(strict.probes)
    assert ask(connection, "GET", "/livez").body == b"ok\n"
    assert ask(connection, "GET", "/readyz").body == b"ok\n"
    assert b"seethrough_certificate_expiry_timestamp_seconds{" in ask(connection, "GET", "/metrics").body
    for path in ("/v1/models", "/openapi.json", "/v2/health/live"):
        assert ask(connection, "GET", path, ADMIN).status == 404
    connection.close()


def counted(strict: Guarded, sample: str) -> float:
    connection = guarded.plain(strict.probes)
    page = ask(connection, "GET", "/metrics").body.decode().splitlines()
    connection.close()
    return next(
        (float(line.split()[-1]) for line in page if line.startswith(f"seethrough_requests_total{{{sample}}}")), 0
    )


@pytest.mark.parametrize(
    ("token", "code"), [("", "UNAUTHENTICATED"), (ALICE, "PERMISSION_DENIED")], ids=["none", "ordinary"]
)
def test_those_who_are_turned_away_are_counted_under_no_model(
    strict: Guarded, channel: grpc.Channel, connection: http.client.HTTPSConnection, token: str, code: str
) -> None:
    sample = f'code="{code}",model="",rpc="RepositoryModelLoad",version=""'
    before = counted(strict, sample)
    along = bearer(token) if token else ()
    with pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(channel).RepositoryModelLoad(
            v2.RepositoryModelLoadRequest(model_name="shapes"), metadata=along
        )
    ask(connection, "POST", LOAD, token)
    assert counted(strict, sample) == before + 2


def audited(strict: Guarded, request_id: str) -> dict[str, str]:
    """The line of the audit log about a request, as its fields without the peer's port."""
    line = strict.log.until(f'request_id="{request_id}"')
    fields = (part.split("=", 1) for part in line.partition("seethrough.audit: ")[2].split(" "))
    told = {name: json.loads(value) for name, value in fields}
    return {**told, "peer": told["peer"].rpartition(":")[0]}


@pytest.mark.parametrize(
    ("token", "name", "code"),
    [("", "", "UNAUTHENTICATED"), (ALICE, "alice", "PERMISSION_DENIED"), (ADMIN, "ops", "OK")],
    ids=["none", "ordinary", "admin"],
)
def test_the_audit_log_tells_who_wanted_to_change_what_and_how_it_ended(
    strict: Guarded, channel: grpc.Channel, connection: http.client.HTTPSConnection, token: str, name: str, code: str
) -> None:
    who = {"token": name, "certificate": "CN=shop", "peer": "127.0.0.1"}
    call = {"call": "RepositoryModelLoad", "code": code, **who}
    by_grpc, by_http = f"grpc-{code}", f"http-{code}"
    along = (*(bearer(token) if token else ()), ("x-request-id", by_grpc))
    request = v2.RepositoryModelLoadRequest(model_name="shapes")
    load: grpc.Call = GRPCInferenceServiceStub(channel).RepositoryModelLoad.future(request, metadata=along)
    assert load.code().name == code
    headers = {**dict(bearer(token) if token else ()), "x-request-id": by_http}
    connection.request("POST", LOAD, headers=headers)
    connection.getresponse().read()
    # By gRPC a refused request is not read, and it has the name of the model in it.
    assert audited(strict, by_grpc) == {**call, "model": "shapes" if code == "OK" else "", "request_id": by_grpc}
    assert audited(strict, by_http) == {**call, "model": "shapes", "request_id": by_http}


def test_nothing_that_a_caller_sends_can_forge_a_line_of_the_audit_log(
    strict: Guarded, connection: http.client.HTTPSConnection
) -> None:
    name = 'shapes"%20code="OK"%0Aforged'
    connection.request("POST", f"/v2/repository/models/{name}/load", headers={"x-request-id": "forger"})
    connection.getresponse().read()
    line = strict.log.until("forger")
    assert r'model="shapes\" code=\"OK\"\nforged" code="UNAUTHENTICATED"' in line


def test_no_token_is_ever_shown(
    strict: Guarded, channel: grpc.Channel, connection: http.client.HTTPSConnection
) -> None:
    for token in (ALICE, ADMIN, UNKNOWN):
        ask(connection, "POST", LOAD, token)
        ask(connection, "POST", "/v2/models/shapes/infer", token)
        GRPCInferenceServiceStub(channel).ModelInfer.future(v2.ModelInferRequest(), metadata=bearer(token)).exception()
    connection.request("POST", LOAD, headers={"x-request-id": "the-last-one"})
    connection.getresponse().read()
    strict.log.until("the-last-one")
    shown = "".join(strict.log.lines) + ask(connection, "GET", "/metrics").body.decode()
    assert not [token for token in (ALICE, ADMIN, UNKNOWN) if token in shown]


def test_the_description_of_the_http_port_tells_of_the_token(connection: http.client.HTTPSConnection) -> None:
    document = ask(connection, "GET", "/openapi.json", ALICE).json
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    load = document["paths"]["/v2/repository/models/{model}/load"]["post"]
    assert load["security"] == [{"bearer": []}]
    assert {"401", "403"} <= set(load["responses"])
    assert "403" not in document["paths"]["/v1/models"]["get"]["responses"]
    assert "security" not in document["paths"]["/livez"]["get"]


def test_curl_gets_in_with_certificate_and_token(strict: Guarded) -> None:
    cert, key = CLIENT.write(strict.files.folder, "curl")
    command = [needed("curl", package="curl"), "--silent", "--cacert", str(strict.files.ca), "--cert", str(cert)]
    command += [
        "--key",
        str(key),
        "--header",
        f"authorization: Bearer {ALICE}",
        f"https://{strict.server.http}/v1/models",
    ]
    ran = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert json.loads(ran.stdout)["models"][0]["name"] == "shapes"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--tls-cert", "server.pem"), "--tls-cert is nothing without --tls-key; set both"),
        (("--token-file", "missing"), "--token-file missing: cannot be read: No such file or directory"),
        (
            ("--tls-cert", "server.pem", "--tls-key", "other.key", "--processes", "2"),
            "--tls-key other.key: does not belong to the certificate server.pem",
        ),
    ],
    ids=["contradiction", "missing", "mismatch"],
)
def test_options_that_cannot_work_end_the_start_with_one_line_and_status_2(
    tmp_path: Path, options: tuple[str, ...], line: str
) -> None:
    AUTHORITY.issue("server").write(tmp_path, "server")
    AUTHORITY.issue("other").write(tmp_path, "other")
    command = [sys.executable, "-m", "server", "--models", str(tmp_path), *options]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"error: {line}\n")
