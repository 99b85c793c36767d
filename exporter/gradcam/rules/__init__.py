"""The vector-Jacobian product of each operator, one small function each.

A rule answers: given the cotangent of a node's output (the gradient of a score with respect to it), what is the
cotangent of one of its inputs? Cotangents carry one axis more than the tensor they belong to, for the M classes explained
in one call:

    tensor     [N, ...]       N pictures
    cotangent  [N, M, ...]    M scores for each of them

so element-wise rules need one Unsqueeze of the tensor, and most others batch over N and M by themselves. Both are free at
run time, and M may be 0; the other sizes are fixed at export. What does not depend on the picture is written so that an
engine folds it once, when it loads the model. All operators in use are of opset 18, and mean the same in every later one.

In the formulas x is the input, y the output, and a bar is a cotangent: x̄ = Jᵀ ȳ. An input that several operators use, or
an operator several times, gets the sum (`backward.gradient`).
"""

import onnx_ir as ir

from exporter.gradcam.rules import arithmetic, elementwise, layout, linear, normalisation, pooling, reduction
from exporter.gradcam.rules.edge import Edge, Rule
from exporter.gradcam.rules.linearity import is_linear

__all__ = ["RULES", "is_linear", "rule_of"]

RULES: dict[str, Rule] = {
    **arithmetic.RULES,
    **elementwise.RULES,
    **layout.RULES,
    **linear.RULES,
    **normalisation.RULES,
    **pooling.RULES,
    **reduction.RULES,
}


def rule_of(node: ir.Node) -> Rule:
    """The rule of this node's operator; raises UnsupportedGraphError naming operator, node and the way out."""
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise Edge(node, 0).refusal("there is no gradient rule for this operator")
    return rule
