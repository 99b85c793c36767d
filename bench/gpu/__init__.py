"""Measurements on an NVIDIA machine: the bare session, the server end to end, explanations, the start.

Such a machine is seldom a developer's: it may have no compiler, no network and another Python. So the load comes from several
processes in Python (`generator`) instead of the generator in C, and nothing is imported beyond what these packages bring, of any version
that pyproject.toml allows:

    onnxruntime-gpu and its CUDA libraries; googleapis-common-protos grpcio grpcio-health-checking grpcio-reflection httptools
    msgspec numpy pillow prometheus-client protobuf python-multipart rich typer uvicorn uvloop; psutil; photographs, as a folder
    (`--photographs`) or by scikit-learn

`--device cpu` tries everything out where there is no GPU.
"""
