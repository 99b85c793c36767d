"""The server, layer by layer, each with a fake on the other side of its seam."""
