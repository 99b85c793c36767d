"""The comparison with other servers, tried with the one that needs no environment of its own, and with made-up figures."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from bench import loadgen
from bench.peers import plot, processes, report, starters
from bench.peers.__main__ import cli
from bench.peers.limits import Form, Limit
from bench.peers.peers import OURS, OWN_ENVIRONMENT, Peer
from bench.peers.rounds import Measured, Plan, Sample, best_settings, measure
from bench.peers.running import PeerError, running
from bench.peers.starters import Command, Launch, Setting, Starter
from bench.peers.workload import BYTE_ELEMENTS, POSTS, TENSORS, Talk, Workload, read
from server.config import EngineName, PrecisionName
from tests.bundles import make_bundle

SETTING = Setting(threads=1)
_PLAIN = starters.script("plain")
needs_generator = pytest.mark.skipif(
    not loadgen.GENERATOR.exists(), reason="compile the load generator with `make build/loadgen`"
)


def plain(start: Starter = _PLAIN) -> Peer:
    return Peer("plain", "grpcio", OWN_ENVIRONMENT, start, (SETTING,))


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return read(make_bundle(tmp_path_factory.mktemp("models") / "shapes" / "1"))


def gone(family: Sequence[psutil.Process]) -> bool:
    """Whether all have ended; whoever has adopted an orphan may not have noticed yet."""
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in family)


@needs_generator
def test_a_peer_serves_the_graph_of_the_bundle_and_is_gone_afterwards(workload: Workload) -> None:
    with running(plain(), workload, SETTING, max_batch=8) as server:
        load, mean_batch = server.load(clients=4, seconds=0.05)
        family = server.tree.processes()
        rss, pss = processes.memory(family)
    assert (load.errors, mean_batch) == (0, 1.0)
    assert 0 < pss <= rss
    assert family
    assert gone(family)


@needs_generator
def test_a_peer_that_answers_with_another_network_is_found_out(workload: Workload, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other" / "1", seed=1)

    def start(launch: Launch) -> Command:
        return replace(_PLAIN(launch), variables={"PEER_GRAPH": str(other / "predict.onnx")})

    with (
        pytest.raises(PeerError, match="wrong before any load: request"),
        running(plain(start), workload, SETTING, max_batch=8),
    ):
        pass


@needs_generator
def test_a_peer_that_does_not_start_is_left_out_with_its_reason_and_stops_no_other(workload: Workload) -> None:
    def start(_: Launch) -> Command:
        return Command([sys.executable, "-c", "raise SystemExit('error: no licence')"])

    broken = replace(plain(start), name="broken")
    measured = measure(workload, [broken, plain()], Plan([1, 2], 0.05, 2), lambda _: None)
    assert [(each.peer, each.clients, each.round) for each in measured.samples] == [
        ("plain", 1, 0), ("plain", 2, 0), ("plain", 1, 1), ("plain", 2, 1),
    ]  # fmt: skip
    assert measured.failures == {("broken", "1 thread"): "ended with status 1: error: no licence"}
    loads, *_, starts, _ = report.tables(measured, [broken, plain()], Plan([1, 2], 0.05, 2), None)
    assert loads.rows[0][:2] == ["broken", "void"]
    assert starts.notes[-1] == "broken (1 thread): ended with status 1: error: no licence"


def test_a_peer_that_is_not_installed_says_how_to_install_it(workload: Workload, tmp_path: Path) -> None:
    absent = Peer("mlserver", "mlserver", tmp_path, starters.mlserver, (SETTING,))
    with (
        pytest.raises(PeerError, match="mlserver is not installed: `make build"),
        running(absent, workload, SETTING, 8),
    ):
        pass


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[processes.Tree]:
    """A process whose child has left it: the child is in a session of its own."""
    program = (
        "import subprocess, sys, time;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True);"
        "print('up', flush=True); time.sleep(600)"
    )
    tree = processes.start([sys.executable, "-c", program], {}, tmp_path)
    while not tree.log.read_text():
        psutil.wait_procs([psutil.Process(tree.root.pid)], timeout=0.01)
    yield tree
    tree.stop()


def test_descendants_are_found_and_ended_where_they_have_left_their_parent(tree: processes.Tree) -> None:
    family = tree.processes()
    assert len(family) == 2
    tree.stop()
    assert gone(family)


FORM = Form(Path("models/shapes/1"), EngineName.ONNXRUNTIME, PrecisionName.FP32)


def sample(peer: str, number: int, rate: float, setting: Setting = SETTING, clients: int = 8) -> Sample:
    return Sample(peer, clients, setting, FORM, number, rate, 0.001, 0.002, 0.0003, 2.0)


def test_a_peer_counts_at_its_best_setting_for_each_number_of_clients() -> None:
    slow, quick = Setting(1, 2.0), Setting(1, 0.0)
    tried = [sample("triton", -1, rate, setting, clients) for setting, clients, rate in (
        (slow, 1, 100.0), (slow, 8, 500.0), (slow, 64, 900.0), (quick, 1, 300.0), (quick, 8, 600.0), (quick, 64, 800.0),
    )]  # fmt: skip
    assert best_settings(tried) == [(quick, [1, 8]), (slow, [64])]


def figures(samples: Sequence[Sample], workload: Workload) -> Measured:
    limits = [
        [Limit(FORM, 1, 1, 4000.0, 0.0005), Limit(FORM, 1, 8, 5000.0, 0.0002)],
        [Limit(FORM, 1, 1, 2000.0, 0.0005), Limit(FORM, 1, 8, 2500.0, 0.0004)],
    ]
    return Measured(workload, 8, list(samples), [], limits, {})


def test_ratios_are_taken_within_a_round_and_the_engine_counts_where_it_is_fastest(workload: Workload) -> None:
    # The machine halves its speed in the second round: between rounds, the peer would seem twice as good or as bad.
    rates = [("ours", 0, 1000.0), ("ours", 1, 500.0), ("plain", 0, 600.0), ("plain", 1, 300.0)]
    measured = figures([sample(*each) for each in rates], workload)
    table = report.tables(measured, [OURS, plain()], Plan([8], 1.0, 2), None)[0]
    assert [dict(zip(table.columns, row, strict=True))["x ours"] for row in table.rows] == ["1.00", "0.60"]
    assert table.rows[1][-3:] == ["0.300", "0.300", "1.12"]  # 0.3 ms beside 0.2 and 0.4


def test_a_row_of_which_a_round_is_missing_is_void(workload: Workload) -> None:
    measured = figures([sample("ours", 0, 1.0), sample("ours", 1, 1.0), sample("plain", 0, 600.0)], workload)
    measured.fails(plain(), SETTING, PeerError("1 of 9 answers wrong"))
    loads, starts, _ = report.tables(measured, [OURS, plain()], Plan([8], 1.0, 2), None)
    assert loads.rows[1][:2] == ["plain", "void"]
    assert starts.notes[-1] == "plain (1 thread): 1 of 9 answers wrong"


def test_the_plot_is_a_picture_beside_the_table(workload: Workload, tmp_path: Path) -> None:
    measured = figures([sample("ours", 0, 1.0), sample("plain", 0, 2.0)], workload)
    path = plot.draw(measured, [OURS, plain()], Plan([8], 1.0, 1), tmp_path / "results" / "peers-shapes.png")
    assert path is not None
    assert path.read_bytes().startswith(b"\x89PNG")
    table = report.tables(measured, [OURS, plain()], Plan([8], 1.0, 1), path)[0]
    assert table.markdown().endswith("(peers-shapes.png)\n")


@pytest.mark.parametrize("talk", [TENSORS, BYTE_ELEMENTS, POSTS])
def test_a_request_carries_one_picture_whatever_the_way(workload: Workload, talk: Talk) -> None:
    bodies = talk.calls(workload).bodies
    assert len(bodies) == len(workload.pixels)
    assert all(body.endswith(picture.tobytes()) for body, picture in zip(bodies, workload.pixels, strict=True))


@pytest.mark.parametrize(
    ("arguments", "complaint", "status"),
    [
        (["--peers", "ours,tensorflow"], "'tensorflow' is none of ours, ours-auto, ours-2, ours-instances, plain", 2),
        (["--clients", "1,many"], "'1,many': give positive numbers", 2),
        (["--clients", "0"], "'0': give positive numbers", 2),
        ([], "manifest.json: cannot be read", 1),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, arguments: list[str], complaint: str, status: int
) -> None:
    told = CliRunner().invoke(cli, [str(tmp_path), *arguments])
    assert told.exit_code == status
    assert complaint in " ".join(told.stderr.replace("│", "").split())
