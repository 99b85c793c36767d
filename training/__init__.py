"""From a recipe to a run folder: data, network, training, and the pictures a person wants to see afterwards.

recipe.py        a TOML file, decoded without defaults; `--set` changes single keys
tasks/           the kinds of recipes: what their keys are, and how they are trained
data/            the data sets: pictures, labels, boxes
networks/        classifiers of pictures: Keras models that take uint8 pixels
arrays/          the tasks that are not about classes of pictures, with their data, networks and run folders
augmentation.py  what is done to pictures in training
optimisation.py  optimisers, learning rates, when to stop
fit.py           the training loop
trainer.py       a run of a classifier of pictures
folder.py        its run folder, written whole or not at all
plots.py ...     pictures of the run
search/          many trials of a recipe, for better values of its keys
results.py ...   what runs came to: compared, and as the shelf's own figures
commands/        the command line
"""
