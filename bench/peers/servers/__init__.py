"""The programs of the peers: each runs in its own environment, with the root of the checkout on its path and nothing else of ours."""
