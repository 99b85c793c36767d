"""The manifests on a real Kubernetes. `make test-k8s` builds what is missing, runs this, and prints what was seen, step by step."""

from collections.abc import Iterator

import pytest

from tests.containers import engine
from tests.k8s.cluster import programs, trial
from tests.k8s.cluster.site import BUNDLE, Site, site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(bool(programs.missing()), reason=programs.missing()),
    pytest.mark.skipif(not BUNDLE.is_dir(), reason=f"needs {BUNDLE}: train and export the recipe digits"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with site(engine.build("cpu")) as running:
        yield running


def test_a_site_is_applied_serves_is_updated_and_survives_its_faults(
    running: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in trial.STEPS:
        try:
            seen = step(running)
        except BaseException:
            with capsys.disabled():
                print(f"\n{running.described()}")  # noqa: T201  what cannot be asked for afterwards
            raise
        with capsys.disabled():
            print(f"\n| {step.__name__.replace('_', ' ')} | {seen} |", end="")  # noqa: T201
