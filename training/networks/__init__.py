"""The classifiers a recipe can name: Keras models from uint8 pixels to probabilities.

Each is a structure of its recipe keys, tagged with its `name`, with `build(shape, classes)`; `Network` lists them. The
arithmetic on pixels is the first layer, so that it is trained, exported and served as the same operations; what comes
before it (decoding, resizing) is `bundle.preprocess`. The last layer holds the softmax or sigmoid.
"""

from training.networks.convolutional import Convolutional
from training.networks.dense import Dense

Network = Convolutional | Dense
