"""Measurements, each a command of its own: `python -m bench.NAME --help`; `python -m bench` runs them all.

agreement   is the served answer the trained model's answer, for every picture of a test set?
pointing    does the evidence lie on the thing? (the pointing game)
latency     what does the server add to the engine for one client, and what does it do under many?

The helpers: `server_process` starts and stops a server, `load` is a client process, `machine` and `stats` describe and count.
"""
