"""What a classification is, and which models there are; no protocol, no protobuf.

jobs        the questions and the answers, as plain data
service     Serving.classify: admit, decode, batch, pick, draw
admission   how much may be in the house at once
catalogue   which versions there are, what they are called, and which one answers
repository  the models on disk, brought into service and taken out of it
watch       what is complete, still being copied, or gone, from one look at the disk to the next
roles       versions.toml: labels, and which version is tried in another's shadow
shadow      that trying
loading     from a bundle on disk to a model in service
render      heatmaps as pictures
"""
