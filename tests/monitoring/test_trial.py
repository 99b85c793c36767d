"""Every alert is tried on a fault that really happens."""

import json
import re
from pathlib import Path

import pytest

from k8s.monitoring.plain import plain
from tests.monitoring.faults import FAULTS
from tests.monitoring.observatory import alert_name, hurried, missing
from tests.monitoring.trial import trial

ALERTS = {
    alert_name({"alertname": rule["alert"], **rule["labels"]})
    for group in plain()["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def test_every_alert_has_a_fault() -> None:
    assert {alert for fault in FAULTS for alert in fault.alerts} == ALERTS


def test_hurried_rules_differ_in_their_durations_only() -> None:
    without = [re.sub(r"\b\d+[smhdw]\b", "", json.dumps(rules)) for rules in (hurried(), plain())]
    assert without[0] == without[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_alert_fires_on_its_fault_and_ends_with_it(tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(f"not installed: apt-get install {lacking}")
    assert {seen.alert for seen in trial(tmp_path)} == ALERTS
