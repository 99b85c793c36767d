"""Engines: arrays in, arrays out. No futures, no request ids, no waiting.

`base` is the protocol, each other module one engine and the only importer of its library; `select` picks one.
"""
