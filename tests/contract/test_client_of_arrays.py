"""Our client asks the real server for models that take arrays."""

from pathlib import Path

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bench.server_process import RunningServer
from client import ClassifyError, Client, TensorInfo
from client.__main__ import cli
from tests.client.blocking import Blocking, Connect

X, OFFSET = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([10, 20])


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of either kind."""
    kind: Connect = request.param
    return kind


def test_arrays_are_answered_with_arrays(server: RunningServer, connect: Connect) -> None:
    with connect(server.grpc) as client:
        answer = client.infer({"x": X, "offset": OFFSET}, "line", version=1)
    np.testing.assert_allclose(answer["line"], 2 * X + OFFSET[:, None])
    np.testing.assert_allclose(answer["largest"], [14, 30])


def test_the_client_tells_what_a_model_takes_and_gives(server: RunningServer, connect: Connect) -> None:
    with connect(server.grpc) as client:
        model = client.tensor_model("line")
    assert model.inputs == (TensorInfo("x", "FP32", (3,)), TensorInfo("offset", "INT64", ()))
    assert (model.name, model.labels, model.preprocess) == ("line", (), None)


def test_what_cannot_be_asked_is_an_error(server: RunningServer, connect: Connect) -> None:
    with connect(server.grpc) as client:
        with pytest.raises(ClassifyError) as absent:
            client.tensor_model("nobody")
        with pytest.raises(ClassifyError) as wrong:
            client.infer({"x": X}, "line")
        with pytest.raises(ValueError, match="x: complex128 cannot be sent"):
            client.infer({"x": X.astype(complex)}, "line")
    assert (absent.value.code, wrong.value.code) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


def command(server: RunningServer, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments), "--target", server.grpc])


def test_the_commands_refuse_models_of_other_kinds_with_what_they_need(server: RunningServer, tmp_path: Path) -> None:
    picture = Path(__file__).parents[2] / "docs" / "cat.png"
    text = command(server, "generate", "--model", "line")
    made = command(server, "transform", picture, "--model", "line", "--out", tmp_path / "out")
    assert (text.exit_code, made.exit_code) == (2, 2)
    assert "no generator of text" in " ".join(text.stderr.split())
    assert "does not make pictures of pictures" in " ".join(made.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_ends_the_commands_with_one_line(server: RunningServer, tmp_path: Path) -> None:
    answer = command(server, "generate", "--model", "nobody")
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1)
    assert "NOT_FOUND" in answer.stderr
