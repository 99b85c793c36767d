"""The contract between the offline and the online half of Seethrough.

Training writes a run folder (`run`), the exporter turns it into a model bundle (`manifest`, `files`, `golden`), the server
loads bundles; all of them make pixels with `preprocess`. Nothing here imports our other packages or any machine learning
framework, so that the server stays small and the two halves meet in files only.
"""
