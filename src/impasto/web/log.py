"""The log of a server."""

import json
import logging
import sys
import time


class JsonLines(logging.Formatter):
    """Log records as JSON, one object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure_logging(*, as_json: bool) -> None:
    """Log to standard error: with `as_json` requests as well, as JSON; otherwise warnings and errors as text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("impasto: %(message)s"))
    for name in ("impasto.web", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if as_json else logging.WARNING)
