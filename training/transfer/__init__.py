"""Transfer learning: a base that was trained on much, frozen, and a new head that is trained on little.

bases     where the first layers come from
network   base and head in one graph, and what of it is trained
features  what the frozen base makes of the pictures, computed once and kept on disk
trainer   from recipe to run folder: the head, then the last layers of the base too
task      the keys of a recipe file
few       with how few labels a base is worth having: the measurement
"""
