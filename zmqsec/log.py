"""The log of a service (floor 8): lines for people, or JSON objects for machines, one a line on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone


class JsonFormatter(logging.Formatter):
    """One JSON object a record; what a record carries as ``extra={"zmqsec": {...}}`` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        found = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "zmqsec", {}),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str)


def set_up(form: str) -> logging.Handler:
    """Send zmqsec's records to stderr as "text" or "json", from INFO on; the handler, to be taken away again."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else plain)
    logger = logging.getLogger("zmqsec")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler
