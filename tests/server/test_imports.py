"""What importing the server brings along."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["server.app", "server.engine.onnxruntime", "client"])
def test_the_online_half_imports_no_training_framework(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'tf2onnx', 'onnx', 'onnx_ir', 'torch', 'matplotlib', 'sklearn'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
