"""What a run says by itself: records of standard logging, of which some are lines that a person wants to read.

Records of the package stand below the logger `pipeline`, one logger a module. Those about one camera or one output
name it in a field of the record, `camera` or `output`.
"""

from __future__ import annotations

import logging

NOTICE = 25
"""The level of lines for a person, between INFO and WARNING: where to look, which model runs, what is fetched."""

logging.addLevelName(NOTICE, "NOTICE")


def notify(log: logging.Logger, line: str, *, output: str = "") -> None:
    """Log one line for a person; `output` is the one that it is about, if any."""
    log.log(NOTICE, "%s", line, extra={"output": output} if output else None)
