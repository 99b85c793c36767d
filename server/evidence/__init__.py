"""What is written of calls, to look at afterwards: the log, traces, and records of pictures and their answers.

    calls     the call that is in work, followed from its beginning to its end
    w3c       the trace that a caller is part of
    sampling  which calls are kept, decided alike by every server
    logs      the log's two forms, written by a thread of its own
    requests  the line in the log for a call
    traces    spans for OpenTelemetry; the only module that knows it
    recorder  pictures and answers for retraining; disk keeps them within a bound
    parts     all of it, put together as settings ask

None of it may slow down or fail an answer: what takes time is done in threads behind bounded queues, and what does not fit there is
dropped and counted. What is switched off is not even imported.
"""
