"""Grad-CAM as part of an ONNX graph.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (ICCV 2017): the
evidence for a class is a weighted sum of the channels of the last feature map, each weighted with the mean gradient of
the class's score over that channel. The gradient needs a backward pass, which ONNX has no notion of, so this package
writes it down as ordinary operators: found on the graph alone, it works for a model from any framework, runs on any
engine, and needs neither a training framework nor a second copy of the model at serving time.

    feature_map      finds the map
    receptive_field  where in the picture its cells look
    rules            one vector-Jacobian product per operator
    backward         chains the rules from the score to the map
    compiled         ties them together: targets in, heatmaps out
    operators        the little language that the others write operators in
"""

from exporter.gradcam.compiled import Explained, explain

__all__ = ["Explained", "explain"]
