"""The last step of a classifier: from a score for each class to a probability.

Many files leave it out, and a graph cannot tell whether its scores belong to classes that exclude each other or to labels that
are each right or wrong by themselves. That is asked for, never guessed.
"""

import math
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import ExportError
from exporter.gradcam.ending import activation_of
from exporter.gradcam.operators import Operators, ints, sample_shape

Wanted = Literal["auto", "softmax", "sigmoid"]
# What is still to be done to what the file answers: nothing, the exponential of a logarithm, or the activation it lacks.
After = Literal["nothing", "exp", "softmax", "sigmoid"]

_KINDS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}


def complete(program: ir.Model, wanted: Wanted) -> After:
    """Makes `program` end in a softmax or sigmoids, in place, and says what the file alone lacked.

    A log-softmax becomes a softmax. Raises ExportError when `wanted` is "auto" and there is no activation, and when it
    contradicts the one there is.
    """
    output = program.graph.outputs[0]
    final = activation_of(output)
    if final is None:
        return _append(program.graph, output, wanted)
    if wanted not in ("auto", _KINDS[final.op_type]):
        raise ExportError(
            f"--activation {wanted}: the model ends in a {final.op_type} already; leave --activation away"
        )
    if final.op_type != "LogSoftmax":
        return "nothing"
    final.op_type = "Softmax"
    return "exp"


def present(program: ir.Model) -> bool:
    """Whether `program` ends in an activation."""
    return activation_of(program.graph.outputs[0]) is not None


def labels(program: ir.Model) -> int:
    """How many labels a classifier that ends in an activation needs: two for a single sigmoid."""
    return max(2, math.prod(sample_shape(program.graph.outputs[0])))


def finished(answers: NDArray[np.float32], after: After) -> NDArray[np.float32]:
    """The probabilities [N, K], or [N, 1] of a single sigmoid, that the file's `answers` stand for."""
    exact = answers.astype(np.float64)
    if after == "softmax":
        exact = np.exp(exact - exact.max(axis=1, keepdims=True))
        exact /= exact.sum(axis=1, keepdims=True)
    elif after == "sigmoid":
        exact = 0.5 * (1 + np.tanh(0.5 * exact))  # 1 / (1 + exp(-x)) without overflow
    elif after == "exp":
        exact = np.exp(exact)
    return exact.astype(np.float32)


def refuse_probabilities(answers: NDArray[np.float32], after: After) -> None:
    """Raises ExportError when what is taken for scores are probabilities already, made by other operators."""
    if after in ("softmax", "sigmoid") and answers.min() >= 0 and np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise ExportError(
            f"--activation {after}: what the model answers sums to 1 for each picture, so it contains a softmax, written in "
            "other operators; export it anew so that it ends in a Softmax or in its scores"
        )


def _append(graph: ir.Graph, output: ir.Value, wanted: Wanted) -> After:
    producer = output.producer()
    sizes = sample_shape(output)
    if sum(size > 1 for size in sizes) > 1:
        raise ExportError(
            f"output {output.name!r} has {list(sizes)} numbers for each picture; a classifier has one for each class"
        )
    if wanted == "auto":
        raise ExportError(
            f"the model ends in {producer.op_type if producer else 'its input'}, neither softmax nor sigmoid: say what its "
            "scores mean with --activation softmax (one class is right) or --activation sigmoid (each label by itself)"
        )
    labels = math.prod(sizes)
    if wanted == "softmax" and labels == 1:
        raise ExportError("--activation softmax: the model answers one number, whose softmax is always 1; use sigmoid")
    op = Operators(graph, "activation")
    scores = op.Reshape(output, ints(0, labels))
    answer = op.Softmax(scores, axis=1) if wanted == "softmax" else op.Sigmoid(scores)
    answer.type, answer.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["N", labels])
    graph.outputs[:] = [answer]
    return wanted
