"""From a run folder to a model bundle: ONNX and SavedModel with Grad-CAM inside, checked against the Keras model.

gradcam       the backward pass of a classifier's head as ONNX operators
convert       Keras to ONNX, and which layer became which tensor
oracle        the same heatmaps by TensorFlow's GradientTape: the measure, and the SavedModel
parity        whether all of them answer alike
bundling      the steps in order, and the bundle
"""

import os

# ONNX Runtime reports its use to its makers over the network unless this is set before it is loaded. A server must not
# call anyone on its own.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
