"""Looking for better values of a recipe's keys by training it in many forms, each for a few epochs.

trials.py   the search folder: what is looked for, and what each trial came to
tuner.py    keras-tuner chooses the trials and keeps its own state, so that a search goes on where it stopped
pages.py    the table and the picture of all trials
"""
