"""The log: text for people or JSON for machines, of our own modules and of every library, on standard error.

Lines are written by a thread of its own. Whoever reads standard error may be slow or gone, its disk may be full: the event loop must
not wait for that, and nobody must be told of it but the log itself, once it can be written again.

JSON lines have `time` (RFC 3339, UTC, milliseconds), `level`, `logger`, `process` where there are several, `message`, `request_id` and
`trace_id` within a call, what else was given with the line as `extra`, and `exception` with its traceback.
"""

import contextlib
import logging
import os
import queue
import select
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from server.config import Evidence, LogFormat
from server.evidence import calls

log = logging.getLogger(__name__)

# Lines that wait to be written; more are lost, and counted.
_WAITING = 4096
# Characters of a message and of a traceback.
_LONGEST_MESSAGE, _LONGEST_TRACE = 8192, 32768
# What a line has by itself; whatever else it has was given with it. uvicorn gives its message once more, coloured.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "taskName"}
_FLUSH_SECONDS = 1.0


def start(evidence: Evidence, process: str = "") -> None:
    """Starts the log on standard error; `process` tells the processes of one server apart."""
    root = logging.getLogger()
    root.setLevel(evidence.log_level.upper())
    if sys.stderr is None:  # closed: the next socket would get its number, and what libraries in C write to it
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  for as long as the process lives
    form = JsonForm(process) if evidence.log_format is LogFormat.JSON else TextForm(process)
    root.addHandler(Lines(sys.stderr.fileno(), form))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class TextForm(logging.Formatter):
    """A line for people. Nothing in it can pass for another line: tracebacks are indented, other line ends escaped."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = f" {process}" if process else ""

    def format(self, record: logging.LogRecord) -> str:
        """Called by the handler."""
        message = calls.shown(record.getMessage(), _LONGEST_MESSAGE)
        line = f"{self.formatTime(record)} {record.levelname:<7}{self._process} {record.name}: {message}"
        return line + _indented(_traceback(self, record))


class JsonForm(logging.Formatter):
    """A JSON object."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = {"process": process.strip("[]")} if process else {}
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """Called by the handler."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._process,
            "message": _encodable(record.getMessage()[:_LONGEST_MESSAGE]),
        }
        if (call := calls.current()) is not None:
            line["request_id"] = call.request_id
            if call.trace is not None:
                line["trace_id"] = call.trace.trace_id
        line |= {name: _plain(value) for name, value in vars(record).items() if name not in _OWN}
        if trace := _traceback(self, record):
            line["exception"] = _encodable(trace)
        return self._encode(line).decode()


class Lines(logging.Handler):
    """Writes each record as a line to a file descriptor, in a thread of its own. Never raises and never waits."""

    def __init__(self, descriptor: int, form: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(form)
        self._descriptor = descriptor
        self._queue: queue.Queue[bytes | threading.Event] = queue.Queue(_WAITING)
        self._lost = 0
        self._torn = False  # the last line was written in part
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  a mistake in a call of the log, such as a %d for a string
            line = self.format(_instead(record, error))
        try:
            self._queue.put_nowait(line.encode(errors="backslashreplace") + b"\n")
        except queue.Full:
            self._lost += 1

    def flush(self) -> None:
        """Returns when what was logged has been written, or is not to be in a second. Called when the interpreter ends."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._queue.put(written, timeout=_FLUSH_SECONDS)
            written.wait(_FLUSH_SECONDS)

    def _write_all(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            elif not self._write(item):
                self._lost += 1
            elif self._lost:
                lost, self._lost = self._lost, 0
                self.handle(
                    _warning(f"{lost} lines of the log were lost: it could not be written as fast, or not at all")
                )

    def _write(self, line: bytes) -> bool:
        left = memoryview(b"\n" + line if self._torn else line)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # whoever shares it has made it so
                    select.select([], [self._descriptor], [])
        except OSError:
            self._torn = self._torn or 0 < len(left) < len(line)
            return False
        self._torn = False
        return True


def _warning(message: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)


def _instead(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """A record that can be written, for one that cannot."""
    message = f"a line of the log cannot be written: {error!r}: {record.msg!r}"
    return logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, message, None, None)


def _plain(value: object) -> object:
    return _encodable(calls.shown(value)) if isinstance(value, str) else value


def _encodable(text: str) -> str:
    """Without halves of surrogate pairs, which no encoding of Unicode has room for."""
    return text.encode(errors="backslashreplace").decode()


def _traceback(form: logging.Formatter, record: logging.LogRecord) -> str:
    """The end of it, where the error is; empty without one."""
    found = record.exc_info
    return "" if found is None or found[0] is None else form.formatException(found)[-_LONGEST_TRACE:]


def _indented(text: str) -> str:
    return "".join(f"\n  {calls.shown(line, _LONGEST_MESSAGE)}" for line in text.splitlines())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        where = failed.thread.name if failed.thread else "?"
        log.critical(
            "uncaught exception in thread %s", where, exc_info=(failed.exc_type, failed.exc_value, failed.exc_traceback)
        )


class Seldom:
    """Logs what may happen thousands of times a second once in a while, and how often it did."""

    def __init__(self, logger: logging.Logger, seconds: float, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._next: float | None = None
        self._held_back = 0

    def warning(self, message: str) -> None:
        """A line, or nothing when there was one in the last `seconds`."""
        now = self._clock()
        if self._next is not None and now < self._next:
            self._held_back += 1
            return
        more = f" ({self._held_back} more since the last line)" if self._held_back else ""
        self._next, self._held_back = now + self._seconds, 0
        self._logger.warning("%s%s", message, more)
