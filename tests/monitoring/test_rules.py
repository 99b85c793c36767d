"""Every alert fires over its threshold and not beside it, and leads to a section of the runbook."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.monitoring.plain import plain
from tests.e2e.tools import needed
from tests.monitoring.cases import CASES, Case

ROOT = Path(__file__).parents[2]
RULES = [rule for group in plain()["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]

# How often the rules are evaluated where scrapes are so far apart: over a week not more often than needed.
EVALUATED = {"15s": "15s", "5m": "1h", "30m": "1h"}


def group(cases: Sequence[Case], interval: str) -> dict[str, Any]:
    """A group of promtool's test file. Each case has a namespace of its own: a group for each would take a hundred times as long."""
    return {
        "interval": interval,
        "input_series": [
            {"series": with_target(series, str(number)), "values": values}
            for number, case in enumerate(cases)
            for series, values in case.series.items()
        ],
        "promql_expr_test": [
            expectation(case, str(number) if case.series else "") for number, case in enumerate(cases)
        ],
    }


def with_target(series: str, namespace: str) -> str:
    """The series with the labels that its scrape gives it."""
    name, _, labels = series.partition("{")
    return f'{name}{{namespace="{namespace}",job="seethrough",{labels or "}"}'


def expectation(case: Case, namespace: str) -> dict[str, Any]:
    """ALERTS is asked for, not the alert, whose texts are no part of what is tried here."""
    labels = [
        f'alertname="{case.alert}"',
        'alertstate="firing"',
        f'namespace="{namespace}"',
        *filter(None, [case.labels]),
    ]
    samples = [{"labels": f'{{case="{case.why}"}}', "value": 1}] if case.fires else []
    counted = f"count(count by (alertname) (ALERTS{{{','.join(labels)}}}))"
    return {
        "expr": f'label_replace({counted}, "case", "{case.why}", "", "")',
        "eval_time": case.at,
        "exp_samples": samples,
    }


@pytest.mark.parametrize("interval", EVALUATED)
def test_every_alert_fires_over_its_threshold_and_not_beside_it(interval: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(plain()))
    cases = [case for case in CASES if case.interval == interval]
    without_targets = [case for case in cases if not case.series]
    with_targets = [case for case in cases if case.series]
    asked = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": EVALUATED[interval],
        "group_eval_order": [each["name"] for each in plain()["groups"]],
        "tests": [group(some, interval) for some in (with_targets, without_targets) if some],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(asked))
    command = [needed("promtool", package="prometheus"), "test", "rules", str(tmp_path / "test.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_is_tried_on_both_sides() -> None:
    names = {rule["alert"] for rule in ALERTS}
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if not case.fires} == names


def test_the_rules_are_valid(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(plain()))
    command = [needed("promtool", package="prometheus"), "check", "rules", str(tmp_path / "rules.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(RULES)} rules found" in ran.stdout


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    # A figure, or where the alert has none, whom it is about.
    assert re.search(r"\{\{ \$(value|labels)\b", rule["annotations"]["description"])
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings


def test_the_runbook_may_lie_elsewhere() -> None:
    moved = [rule for group in plain("https://wiki/see")["groups"] for rule in group["rules"] if "alert" in rule]
    assert all(rule["annotations"]["runbook_url"].startswith("https://wiki/see#") for rule in moved)
