"""Which waiting images go into the engine's next run: `policy` decides, `batcher` does it."""
