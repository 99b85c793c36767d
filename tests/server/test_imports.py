"""What importing the server brings along."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["server.app", "server.engine.onnxruntime", "client"])
def test_the_online_half_imports_no_training_framework(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'tf2onnx', 'onnx', 'onnx_ir', 'torch', 'matplotlib', 'sklearn'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("package", ["server", "exporter"])
def test_onnx_runtime_is_told_not_to_call_home_before_it_is_loaded(package: str) -> None:
    code = f"import sys, os, {package}; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "1 False\n"


WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event in ("os.fork", "subprocess.Popen", "socket.connect") else None)
import server.engine.onnxruntime, server.engine.openvino
print(",".join(seen))
"""


def test_no_engine_starts_a_process_or_calls_home_when_it_is_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
