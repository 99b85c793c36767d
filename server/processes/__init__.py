"""`--processes N`: several serving processes on one port, and the supervisor that keeps them.

    supervisor  starts the processes, restarts what dies, hands on signals, adds up metrics, has load and unload done in all
    ports       reserves the ports, so that each process can listen on them and no other program can
    posts       which processes there are, and what connects them
    keeper      one process, from its start to its end
    link        questions and answers between the supervisor and a process, as JSON
    start       what a process is told when it starts, and does first
    serving     a serving process: `server.app` with others beside it

and where one process owns the engine for all (`--engine-process`):

    engine      that process: batches what the others send
    remote      that process, seen from a serving process: models whose queues are in it
    messages    what the two tell each other, and how it travels
    slab        the memory in which they hand over pixels and answers

The kernel spreads connections, not requests, over the processes that listen on a port (SO_REUSEPORT). So a process listens only when
its models are loaded: the kernel would hand it connections before. Each process answers health, readiness and statistics for itself;
metrics are those of all, and loading or unloading a model by RPC is done in all. Whoever has engines watches the folder of models: the
engine process for all, or each serving process for itself, so that for some seconds one may have a version that another has not yet.
"""
