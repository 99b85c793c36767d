"""Targets: which class each heatmap is to explain.

A target t >= 0 is class t; t = -1-r is the class ranked r-th by probability, the lower class first where two are equal. A
target that names no class (t >= K or r >= K) has no evidence: its map is all 0. The server refuses such a request before
it comes here, but whatever arrives, no other picture of the batch is disturbed.
"""

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operand, Operators, ints

# Up to this many classes all are ranked; of more, only as many as the targets reach, because ranking a thousand classes takes
# about 70 µs a picture.
_RANKED_AT_ONCE = 64


def classes(op: Operators, targets: ir.Value, probabilities: ir.Value, labels: int) -> ir.Value:
    """Targets i64 [N, M] and probabilities f32 [N, K] -> classes i64 [N, M], 0..K, where K stands for "no such class"."""
    known = op.Clip(targets, np.int64(-1 - labels), np.int64(labels))
    rank = op.Sub(np.int64(-1), known)  # of a class, negative: the place of some rank or other, not used
    count: Operand = ints(labels)
    if labels > _RANKED_AT_ONCE:
        rank = op.Max(rank, np.int64(0))
        count = _reach(op, rank, labels)
    order = op.node("TopK", [probabilities, count], {"axis": 1}, outputs=2).outputs[1]
    ranking = op.Pad(order, ints(0, 0, 0, 1), np.int64(labels))
    ranked = op.GatherElements(ranking, rank, axis=1)
    return op.Where(op.Less(targets, np.int64(0)), ranked, known)


def _reach(op: Operators, rank: ir.Value, labels: int) -> ir.Value:
    """How many ranks are asked for: i64 [1]."""
    highest = op.ReduceMax(op.Concat(op.Reshape(rank, ints(-1)), ints(0), axis=0), ints(0))
    return op.Min(op.Add(highest, np.int64(1)), np.int64(labels))
