"""JSON logs on stderr: one object a line, time, level, logger, message. Messages never contain bodies or tokens (I16)."""

import asyncio
import logging
import time
from typing import Any

import orjson

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Fixed keys first; a traceback only with an exception."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry).decode()


def configure_logs(level: str) -> None:
    """Send everything of this process to stderr as JSON; libraries speak from warning on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("federation").setLevel(level.upper())


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's exception handler: as the default, but a connection that we closed ourselves is no error.

    uvloop reports data that comes in on a TLS connection after it was closed (a watch that was cancelled) as fatal.
    """
    error = context.get("exception")
    if str(context.get("message")).startswith("Fatal error on SSL protocol") and "the handler is closed" in str(error):
        log.debug("data after the end of a connection: %s", error)
        return
    loop.default_exception_handler(context)
