"""What the processes do not bring along."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("server.processes.supervisor", {"grpc", "uvicorn", "prometheus_client", "onnxruntime", "openvino"}),
        ("server.processes.serving", {"onnxruntime", "openvino"}),
    ],
)
def test_a_process_loads_no_library_that_another_one_needs(module: str, foreign: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({foreign!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
