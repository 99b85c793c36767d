"""From a recipe to a run folder: data, network, training, and the pictures a person wants to see afterwards.

recipe.py      a TOML file, decoded without defaults; `--set` changes single keys
data/          the data sets: pictures, labels, boxes
networks.py    Keras models that take uint8 pixels
fit.py         the training loop
folder.py      the run folder, written whole or not at all
plots.py ...   pictures of the run
"""
