"""What a classification is, and which models there are; no protocol, no protobuf.

jobs        the questions and the answers, as plain data
service     Serving.classify: admit, decode, batch, pick, draw
admission   how much may be in the house at once
repository  the models on disk and their states
loading     from a bundle on disk to a model in service
render      heatmaps as pictures
"""
