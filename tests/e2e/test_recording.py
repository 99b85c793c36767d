"""What a real server writes of its calls: records, log and traces, also from several processes, and on a disk that is full."""

import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import grpc
import pytest
from PIL import Image

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.contract.http.asking import ask
from tests.e2e.test_lifecycle import start
from tests.server.collector import Collector, attributes, collecting

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
CLASSIFY = "/v1/models/shapes:classify"
QUICK = ("--device", "cpu", "--engine", "onnxruntime")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "shapes/1")
    return folder


def picture(side: int = 24) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(out, "PNG")
    return out.getvalue()


def classify(server: RunningServer, request_id: str, body: bytes | None = None, **headers: str) -> int:
    """Asks on a connection of its own; the status."""
    connection = http.client.HTTPConnection(server.http, timeout=60)
    try:
        connection.request("POST", CLASSIFY, body or picture(), {"x-request-id": request_id, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def recorded(server: RunningServer) -> dict[str, float]:
    """Pictures chosen to be kept, by what became of them."""
    page = ask(server.http, "GET", "/metrics").body.decode()
    found = re.findall(r'^seethrough_recorded_images_total\{outcome="(\w+)"\} (\S+)', page, re.MULTILINE)
    return {outcome: float(count) for outcome, count in found}


def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; what a server does behind its answers cannot be awaited from here."""
    patience = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


def records(folder: Path) -> list[dict[str, Any]]:
    """Every line, each beside its whole picture."""
    found = []
    for path in folder.rglob("*.json"):
        line = json.loads(path.read_text())
        assert path.with_name(line["picture"]).stat().st_size == line["size_bytes"]
        found.append(line)
    return found


@pytest.mark.parametrize(
    "processes", [(), ("--processes", "2"), ("--processes", "2", "--engine-process", "on")], ids=len
)
def test_pictures_and_answers_are_kept_by_every_process_and_counted_together(
    models: Path, tmp_path: Path, processes: tuple[str, ...]
) -> None:
    keep = ("--record", str(tmp_path / "kept"), "--record-rate", "1")
    with serving(models, *QUICK, *processes, *keep) as server:
        assert {classify(server, f"request-{number}") for number in range(12)} == {200}
        until(lambda: recorded(server) == {"ok": 12})
    kept = records(tmp_path / "kept")
    assert sorted(line["request_id"] for line in kept) == sorted(f"request-{number}" for number in range(12))
    assert all(re.fullmatch("[0-9a-f]{64}", line["fingerprint"]) for line in kept)


def test_what_waits_to_be_written_is_written_before_the_server_ends(models: Path, tmp_path: Path) -> None:
    with serving(models, *QUICK, "--record", str(tmp_path / "kept"), "--record-rate", "1") as server:
        for number in range(20):
            classify(server, f"request-{number}")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert len(records(tmp_path / "kept")) == 20


# Runs its arguments with a disk of 256 KiB mounted on the folder that comes first.
_TINY_DISK = 'mount -t tmpfs -o size=256k none "$1" && shift && exec "$@"'


def tiny_disks_work() -> bool:
    """Whether this machine lets us mount one."""
    command = ["unshare", "-rm", "sh", "-c", _TINY_DISK, "sh", "/mnt", "true"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not tiny_disks_work(), reason="mounting is not allowed here")
def test_a_full_disk_costs_records_and_no_answer_and_recording_goes_on_when_there_is_room(
    models: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    disk = tmp_path / "disk"
    disk.mkdir()
    with log.open("w") as out, on_tiny_disk(models, disk, out) as server:
        for number in range(40):
            assert classify(server, f"request-{number}", picture(80)) == 200
        until(lambda: sum(recorded(server).values()) == 40)
        assert recorded(server)["failed"] > 0
        # Its mount is seen through its process only.
        inside = Path(f"/proc/{server.process.pid}/root{disk}")
        (inside / "shapes").rename(inside / "old")
        shutil.rmtree(inside / "old")
        before = recorded(server)["ok"]
        assert classify(server, "again") == 200
        until(lambda: recorded(server)["ok"] == before + 1)
        assert [line["request_id"] for line in records(inside)] == ["again"]
    assert log.read_text().count("a picture cannot be recorded: [Errno 28]") == 1


def on_tiny_disk(models: Path, disk: Path, out: IO[str]) -> Any:
    """A server that records onto a disk of 256 KiB, with a bound far above that."""
    keep = ("--record", str(disk), "--record-rate", "1", "--record-max-mib", "100")
    return serving(models, *QUICK, *keep, log=out, within=("unshare", "-rm", "sh", "-c", _TINY_DISK, "sh", str(disk)))


def test_every_line_is_json_whoever_wrote_it_and_has_the_request_it_is_about(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--log-format", "json", "--log-requests", "1", "--log-level", "debug")
    with log.open("w") as out, serving(models, *QUICK, *options, log=out) as server:
        classify(server, "good", traceparent=TRACEPARENT)
        classify(server, "bad", b"not a picture")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"PIL.PngImagePlugin", "server.app"} <= {line["logger"] for line in lines}
    calls = {line["request_id"]: line for line in lines if line["logger"] == "server.evidence.requests"}
    assert (calls["good"]["code"], calls["good"]["status"], calls["good"]["trace_id"]) == ("OK", 200, TRACE)
    assert (calls["bad"]["code"], calls["bad"]["status"], calls["bad"]["model"]) == ("INVALID_ARGUMENT", 400, "shapes")


def test_processes_tell_themselves_apart_in_json(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out, serving(models, *QUICK, "--processes", "2", "--log-format", "json", log=out):
        pass
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line.get("process") for line in lines} == {None, "1", "2"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_on_a_full_disk_disturbs_no_answer(models: Path, form: str) -> None:
    options = (*QUICK, "--log-format", form, "--log-requests", "1")
    with Path("/dev/full").open("w") as full, serving(models, *options, log=full) as server:
        assert {classify(server, f"request-{number}") for number in range(10)} == {200}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_a_log_whose_reader_has_gone_disturbs_no_answer(models: Path) -> None:
    end, descriptor = os.pipe()
    with os.fdopen(descriptor, "w") as log, serving(models, *QUICK, "--log-requests", "1", log=log) as server:
        os.close(end)
        assert {classify(server, f"request-{number}") for number in range(10)} == {200}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_server_without_standard_error_serves_and_ends_in_order(models: Path, processes: str) -> None:
    within = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    with serving(models, *QUICK, "--processes", processes, within=within) as server:
        assert classify(server, "order-66") == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_calls_of_both_transports_are_spans_below_their_callers(models: Path) -> None:
    with collecting() as collector:
        with traced(models, collector) as server:
            classify(server, "by-http", traceparent=TRACEPARENT, tracestate="vendor=1")
            with grpc.insecure_channel(server.grpc) as channel:
                stub = rpc.ImageClassifierStub(channel)
                image = pb.Image(encoded=picture())
                asked = pb.ClassifyRequest(model="shapes", images=[image], request_id="by-grpc")
                stub.Classify(asked, metadata=(("traceparent", TRACEPARENT),))
                list(stub.ClassifyStream(iter([asked]), metadata=(("traceparent", TRACEPARENT),)))
                assert stub.ListModels(pb.ListModelsRequest()).models
            ask(server.http, "GET", "/metrics")
            ask(server.http, "GET", "/nowhere")
        roots = {root.name: root for root in collector.roots()}
    own = "seethrough.v1.ImageClassifier/"
    by_http = "POST /v1/models/{model}:classify"
    assert set(roots) == {by_http, f"{own}Classify", f"{own}ClassifyStream", f"{own}ListModels", "GET"}
    for name in (by_http, f"{own}Classify", f"{own}ClassifyStream"):
        root = roots[name]
        assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
        children = collector.children(root)
        assert [child.name for child in children] == ["decode", "queue", "infer", "render"]
        times = [time for child in children for time in (child.start_time_unix_nano, child.end_time_unix_nano)]
        assert times == sorted(times)
        assert root.start_time_unix_nano <= times[0]
        assert times[-1] <= root.end_time_unix_nano
    assert not roots[f"{own}ListModels"].parent_span_id
    assert attributes(roots["GET"].attributes)["http.response.status_code"] == "404"
    assert attributes(roots[by_http].attributes)["seethrough.request_id"] == "by-http"


def traced(models: Path, collector: Collector, *options: str) -> Any:
    """A server that is told of the collector as every program is."""
    return serving(models, *QUICK, *options, environment=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})


def test_a_server_ends_in_time_though_its_collector_is_away(models: Path) -> None:
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with serving(models, *QUICK, "--drain-seconds", "0.5", environment=environment) as server:
        assert classify(server, "order-66") == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_every_process_sends_its_spans(models: Path) -> None:
    with collecting() as collector:
        with traced(models, collector, "--processes", "2") as server:
            for number in range(8):
                classify(server, f"request-{number}")
        told = {attributes(root.attributes)["seethrough.request_id"] for root in collector.roots()}
    assert told == {f"request-{number}" for number in range(8)}


def test_traces_without_opentelemetry_end_with_what_to_do(models: Path) -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; from server.__main__ import cli; cli()"
    command = [sys.executable, "-c", code, "--models", str(models), "--traces", "on"]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert ended.returncode == 2
    assert "pip install 'seethrough[otel]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        (("--record", "/proc/nothing"), {}, "/proc/nothing cannot be made"),
        (("--record-rate", "2"), {}, "record-rate"),
        (("--log-requests", "-1"), {}, "log-requests"),
        (("--log-format", "xml"), {}, "log-format"),
        (("--traces", "on"), {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is grpc"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(
    models: Path, options: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    ended = start("--models", str(models), *options, **environment)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
