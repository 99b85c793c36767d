"""The Open Inference Protocol (KServe V2), over gRPC and HTTP.

`values` are the protocol's messages as plain values, which both transports read and write; `inference` has the use cases on
them, one for both; what is left to the transports is their own encoding. A request is checked completely, its sizes against
what really came, before anything is allocated for it.

Specification: https://github.com/kserve/open-inference-protocol; the extensions are Triton's (binary tensor data, classification,
model repository, model configuration, statistics, schedule policy).
"""
