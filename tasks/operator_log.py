"""Telling people what happens: one line per thing that an operator would ask about, with its facts as fields.

The lines go to the logger `seatrial`: Prefect shows them in the run (PREFECT_LOGGING_EXTRA_LOGGERS), the command line
turns them into its progress.
"""

import logging

from deployments.printable import in_one_line

LOGGER = logging.getLogger("seatrial")


def tell(event: str, **facts: object) -> None:
    """Log `event` (a dotted word) with its facts; the record carries them as `event` and `facts`, too.

    A fact that is empty is not there.
    """
    LOGGER.info(
        "%s %s",
        event,
        " ".join(f"{name}={in_one_line(value)}" for name, value in facts.items() if value not in (None, "")),
        extra={"event": event, "facts": facts},
    )
