"""Bundles in, answers out: decode, batch, infer, explain, measure.

    processes  several serving processes on the same ports, and the one that starts them again and adds up their figures
    app        puts the parts together, starts and stops them
    transport  gRPC and HTTP: convert, call, convert; the only place that knows protobuf
    serving    what a classification is: admission, pixels, targets, predictions, pictures; which models there are
    batching   which waiting images go into the engine's next run
    engine     arrays in, arrays out

Each layer imports only those below it, and errors, config and events.
"""

import os

__version__ = "0.1.0"

# ONNX Runtime reports its use to its makers over the network unless this is set before it is loaded. A server must not
# call anyone on its own.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# The server multiplies no matrices with NumPy: starting threads for that would take a tenth of a second.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
