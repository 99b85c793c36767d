"""What explanations cost: every kind is measured at every batch size, and what costs too much is told."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import explain
from bench.explain import LIMITS, Cost
from tests.bundles import make_bundle


def test_every_kind_of_request_is_measured_at_every_batch_size(tmp_path: Path) -> None:
    costs = explain.measure(make_bundle(tmp_path / "shapes/1", methods=["layercam", "gradcam"]), 3, tensorflow=False)
    assert set(costs) == set(explain.BATCHES)
    for kinds in costs.values():
        base, *others = kinds.values()
        assert base.ratio == 1
        assert min(cost.seconds for cost in kinds.values()) > 0
        assert set(LIMITS) < set(kinds)
        assert len(others) == 5


def test_what_costs_more_than_it_may_is_named_with_its_batch_size_and_both_figures() -> None:
    costs = {batch: {kind: Cost(1.0, 1.0) for kind in LIMITS} for batch in (1, 8)}
    assert explain.exceeded(costs) == []
    costs[8]["top class explained"] = Cost(1.0, 1.2)
    costs[1]["plain prediction"] = Cost(1.0, LIMITS["plain prediction"])
    assert explain.exceeded(costs) == ["top class explained at batch 8: 1.200 of 1.10"]


def test_the_figures_of_another_process_stand_in_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "LIMITS", {})  # a network this small is all overhead
    bundle = make_bundle(tmp_path / "shapes/1")
    torch = {str(batch): {"plain": 0.002, "grad-cam": 0.006} for batch in explain.BATCHES}
    (tmp_path / "torch.json").write_text(json.dumps(torch))

    options = [
        "--rounds",
        "3",
        "--no-tensorflow",
        "--torch",
        str(tmp_path / "torch.json"),
        "--out",
        str(tmp_path / "x.md"),
    ]
    answer = CliRunner().invoke(explain.cli, [str(bundle), *options])

    assert answer.exit_code == 0, answer.output
    table = (tmp_path / "x.md").read_text()
    assert "| PyTorch: plain | 2.000 (1.000) | 2.000 (1.000) | 2.000 (1.000) |" in table
    assert "| PyTorch: grad-cam | 6.000 (3.000) |" in table
