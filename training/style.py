"""What the pictures of runs have in common."""

DPI = 120
# Of several things beside each other; told apart by colour-blind people too (Tableau 10, reordered).
SERIES = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#72b7b2", "#eeca3b", "#9d755d")
