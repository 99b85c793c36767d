"""The vector-Jacobian product of each operator, one small function each.

A rule answers: given the cotangent of a node's output (the gradient of a score with respect to it), what is the
cotangent of one of its inputs? Cotangents carry one axis more than the tensor they belong to, for the M classes explained
in one call:

    tensor     [N, ...]       N pictures
    cotangent  [N, M, ...]    M scores for each of them

so element-wise rules need one Unsqueeze of the tensor, and everything else batches over N and M by itself. These two
may be any number at run time, 0 too; the other sizes are fixed at export. Whatever does not depend on the picture is
written so that an engine folds it once, when it loads the model.

In the formulas x is the input, y the output, and a bar is a cotangent: x̄ = Jᵀ ȳ. An input that several operators use, or
an operator several times, gets the sum (`backward.gradient`).
"""

import onnx_ir as ir

from exporter.gradcam.rules import elementwise, layout, linear, pooling, reduction
from exporter.gradcam.rules.edge import Edge, Rule

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **layout.RULES,
    **linear.RULES,
    **pooling.RULES,
    **reduction.RULES,
}


def rule_of(node: ir.Node) -> Rule:
    """The rule of this node's operator; raises UnsupportedGraphError naming operator, node and the way out."""
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise Edge(node, 0).refusal("there is no gradient rule for this operator")
    return rule
