"""The whole, together with programs that we did not write."""
