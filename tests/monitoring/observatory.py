"""A real Prometheus with our rules, a real Alertmanager behind it, and the receiver that it tells: all on this machine, on free ports.

Prometheus scrapes every second. So that nobody waits for an hour to see an alert of an hour, the durations in the rules are replaced by
those of HURRIED, in expressions, in `for` and in `interval`, and nothing else is changed: names of series keep the durations they have.
"""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from k8s.monitoring.plain import Groups, plain

# What the rules say, and seconds instead.
HURRIED = {
    "1m": 1,
    "2m": 2,
    "5m": 5,
    "10m": 6,
    "15m": 8,
    "30m": 10,
    "1h": 20,
    "6h": 25,
    "1d": 25,
    "3d": 30,
    "1w": 40,
}
_DURATION = re.compile(r"\b\d+[smhdw]\b")
_LISTENING = re.compile(r'msg="Listening on".* address=(\S+)')
_START_SECONDS = 60.0

_PROMETHEUS = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
  - job_name: seethrough
    file_sd_configs: [{{files: [targets.json], refresh_interval: 1s}}]
"""
# Each alert by itself, told at once, so that the times are those of the rules.
_ALERTMANAGER = """
route: {{receiver: hook, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://{hook}/", send_resolved: true}}]}}]
"""


def hurried() -> Groups:
    """The rules with the durations of HURRIED. Raises KeyError for a duration that is not there."""

    def shorter(text: str) -> str:
        return _DURATION.sub(lambda found: f"{HURRIED[found[0]]}s", text)

    groups = plain()
    for group in groups["groups"]:
        group.update({key: shorter(group[key]) for key in ("interval",) if key in group})
        for rule in group["rules"]:
            rule.update({key: shorter(rule[key]) for key in ("expr", "for") if key in rule})
    return groups


@dataclass
class Notices:
    """Which alerts Alertmanager has told of and not taken back."""

    _names: dict[str, str] = field(default_factory=dict)  # by fingerprint: an alert fires for several series

    @property
    def firing(self) -> set[str]:
        """Their names."""
        return set(self._names.copy().values())

    def told(self, message: Mapping[str, Any]) -> None:
        """Takes a message of Alertmanager's webhook."""
        for alert in message["alerts"]:
            if alert["status"] == "firing":
                self._names[alert["fingerprint"]] = alert_name(alert["labels"])
            else:
                self._names.pop(alert["fingerprint"], None)


def alert_name(labels: Mapping[str, str]) -> str:
    """The alert, with its window where several have the name."""
    return " ".join([labels["alertname"], *([labels["window"]] if "window" in labels else [])])


@dataclass(frozen=True)
class Observatory:
    """What watches, and what it has told."""

    address: str
    notices: Notices
    targets_file: Path

    def targets(self, *addresses: str) -> None:
        """Scrapes these from now on, host:port."""
        partial = self.targets_file.with_suffix(".partial")
        partial.write_text(json.dumps([{"targets": addresses, "labels": {"namespace": "trial"}}]))
        partial.replace(self.targets_file)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector of an expression: labels and value."""
        url = f"http://{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as response:
            found = json.load(response)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def until_up(self, address: str) -> None:
        """Returns when the target has been scraped."""
        until(lambda: bool(self.query(f'up{{instance="{address}"}} == 1')), 60, f"a scrape of {address}")


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """Waits until something holds; the seconds that it took. Raises TimeoutError."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not in {seconds:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def missing() -> str:
    """The Debian packages that are needed and not there; empty when all are."""
    return " ".join(name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None)


@contextmanager
def observing(folder: Path, rules: Groups) -> Iterator[Observatory]:
    """Runs Prometheus with `rules`, and Alertmanager; their files go to `folder`."""
    notices = Notices()
    (folder / "targets.json").write_text("[]")
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    with _receiver(notices) as hook:
        (folder / "alertmanager.yml").write_text(_ALERTMANAGER.format(hook=hook))
        arguments = [f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager'}"]
        with _program("prometheus-alertmanager", [*arguments, "--cluster.listen-address="]) as alertmanager:
            (folder / "prometheus.yml").write_text(_PROMETHEUS.format(alertmanager=alertmanager))
            arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
            with _program("prometheus", arguments) as address:
                yield Observatory(address, notices, folder / "targets.json")


@contextmanager
def _receiver(notices: Notices) -> Iterator[str]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.told(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def _program(name: str, arguments: Sequence[str]) -> Iterator[str]:
    """Runs it on a free port until the block ends; its address, once it is ready."""
    command = [name, *arguments, "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = _address(process)
            threading.Thread(target=_drain, args=(process,), daemon=True).start()
            until(lambda: _is_ready(address), _START_SECONDS, name)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise RuntimeError("ended before it listened:\n" + "".join(said[-5:]))


def _drain(process: "subprocess.Popen[str]") -> None:
    """A full pipe would stop it."""
    assert process.stderr is not None
    for _ in process.stderr:
        pass


def _is_ready(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
    except OSError:
        return False
    return True
