"""A server's start: its time, its memory, and the stages that its log tells."""

from pathlib import Path

import pytest

from bench import startup
from tests.bundles import make_bundle
from tests.contract.conftest import flip_a_byte

LOG = """\
2026-11-22 07:05:19,500 DEBUG   server.serving.loading: verify took 0.051 s
2026-11-22 07:05:20,026 DEBUG   server.serving.loading: build took 0.100 s
2026-11-22 07:05:20,136 INFO    server.serving.repository: serving shapes version 1 after 1.25 s
2026-11-22 07:05:20,657 DEBUG   server.serving.loading: build took 0.145 s
"""


def test_the_stages_are_those_of_the_log_in_order_and_one_that_comes_again_adds_to_itself() -> None:
    assert startup.stages(LOG) == {"verify": 0.051, "build": 0.245}
    assert startup.stages("nothing of the kind") == {}


def test_each_setting_has_its_time_and_memory_and_the_parts_make_up_the_whole(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "shapes/1")
    (measured,) = startup.measure(bundle, 1, {"plain": ("--engine", "onnxruntime")})
    (start,) = measured.starts
    assert start.runs_on == "onnxruntime fp32 cpu"
    assert sum(start.stages.values()) == pytest.approx(start.seconds)
    assert start.fresh.resident >= start.fresh.proportional > 0
    overview, parts = startup.results("shapes", [measured])
    assert overview.rows[0][:2] == ["plain", "onnxruntime fp32 cpu"]
    assert [row[0] for row in parts.rows] == list(start.stages)


def test_a_server_that_refuses_the_bundle_ends_the_measurement_with_its_reason(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "shapes/1")
    flip_a_byte(bundle / "predict.onnx")
    with pytest.raises(RuntimeError, match="changed since export"):
        startup.measure(bundle, 1, {"plain": ()})
