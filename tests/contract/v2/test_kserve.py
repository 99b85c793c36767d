"""KServe's own clients, unchanged: what `drive_kserve` saw over gRPC and over HTTP."""

from typing import Any

import numpy as np
import pytest

from bench.server_process import RunningServer
from tests.contract.v2.ecosystem import drive

Report = dict[str, Any]

WAYS = pytest.mark.parametrize("way", ["over_grpc", "over_http"])


@pytest.fixture(scope="module")
def seen(server: RunningServer) -> Report:
    """What the driver saw through each client."""
    return drive("drive_kserve.py", server)


@WAYS
def test_server_and_models_are_live_and_ready(seen: Report, way: str) -> None:
    assert [seen[way][key] for key in ("live", "ready", "models")] == [True, True, [True, False]]


@WAYS
def test_arrays_and_lists_get_the_same_answer(seen: Report, way: str) -> None:
    assert seen[way]["answered"][:2] == ["order-66", "shapes"]
    np.testing.assert_allclose(seen[way]["raw"], seen[way]["typed"], atol=1e-6)
    np.testing.assert_allclose(np.sum(seen[way]["raw"], axis=1), 1, atol=1e-5)


@WAYS
def test_a_model_without_images_answers(seen: Report, way: str) -> None:
    assert seen[way]["line"] == [[11, 12, 13]]


def test_both_protocols_give_the_same_answer(seen: Report) -> None:
    np.testing.assert_allclose(seen["over_grpc"]["raw"], seen["over_http"]["raw"], atol=1e-6)
