"""The kinds of recipes. Each is a structure of a recipe file's keys, tagged with its `task`; `Recipe` lists them.

What every task has (training.recipe, the commands `list` and `run` and the shelf's table ask for nothing else):

summary, notes, training    keys that mean the same everywhere
data_name, input, output    words for the table: the data set, what goes in, what comes out
build()                     the untrained Keras model, whose parameters are counted
train(name, out, command)   trains it and writes the run folder `out`
"""

from training.arrays.image_to_image import ImageToImage
from training.arrays.sequence import SequenceClassification
from training.arrays.table import TableClassification
from training.arrays.text import TextGeneration
from training.tasks.classification import Classification
from training.transfer.task import Transfer

Recipe = Classification | ImageToImage | SequenceClassification | TableClassification | TextGeneration | Transfer
