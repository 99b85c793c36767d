"""Any ONNX classifier: its file becomes a candidate for a bundle.

read          the file, whole and valid, and what its input and output are
running       ONNX Runtime on the network by itself
prepare       the same network in the form that the rest expects: opset, float32, fixed size, free batch
  opset, floats, fold, shapes, batch, batch_first     the steps of it
  agreement                                           that each of them changes no answer
presets       the arithmetic between pixels and network, by name or from a TOML file
preamble      that arithmetic as operators in front of the network
activation    the softmax or sigmoid behind it
pictures      what the answers are compared on
original      the file as it was given, with NumPy before and after it
reference     heatmaps made of map and gradient in NumPy: the measure
  head, differences   the gradient, and that it is one
names         which layer is which tensor
listing       the layers to choose from
file          ties them together
"""
