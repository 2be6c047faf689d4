"""How the log is kept, as the server's command line says it."""

import argparse
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from deployments.inference_log_reader import is_url
from deployments.traffic import DEFAULT_KEY

SECRET_VARIABLE: Final = "SEATRIAL_LOG_SECRET"  # noqa: S105 - its name, not the secret
USUAL_SIZE: Final = 5 * 1024**3
USUAL_RATE: Final = 2 * 1024**2


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Where the log lies, which share of the requests it holds, how soon, how much of it, and what is left out.

    `size` is what the log of a product takes at most, `rate` what one server adds in a second, both in bytes.

    The sticky key stands in `key_header`, or in a cookie: then that is `cookie`, and `key_cookie` names the cookie.
    """

    folder: str
    sample: float = 1.0
    flush: timedelta = timedelta(seconds=10)
    mask: frozenset[str] = frozenset()
    key_header: str = DEFAULT_KEY
    key_cookie: str | None = None
    secret: bytes | None = field(default=None, repr=False)
    size: int = USUAL_SIZE
    rate: int = USUAL_RATE


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the inference log; without `--log-folder` there is none."""
    flags = parser.add_argument_group("inference log")
    flags.add_argument("--log-folder", help="folder or fsspec URL for the inference log; none: nothing is logged")
    flags.add_argument("--log-sample", type=_share, default=1.0, help="share of the requests that are logged, 0 to 1")
    flags.add_argument("--log-flush", type=_seconds, default=10.0, help="seconds until an answer is on the disk")
    flags.add_argument(
        "--log-size", type=_bytes, default=USUAL_SIZE, help="bytes that the logs of a product may take; the oldest go"
    )
    flags.add_argument(
        "--log-rate", type=_bytes, default=USUAL_RATE, help="bytes a second, before compression, that are added at most"
    )
    flags.add_argument("--log-mask", action="append", default=[], metavar="COLUMN", help="feature to leave out")


def options_of(parsed: argparse.Namespace) -> LogOptions | None:
    """What the command line and the environment say; None for no log."""
    if not parsed.log_folder:
        return None
    secret = os.environ.get(SECRET_VARIABLE, "").encode()
    return LogOptions(
        # A model may go where it likes.
        folder=parsed.log_folder if is_url(parsed.log_folder) else os.path.abspath(parsed.log_folder),  # noqa: PTH100
        sample=parsed.log_sample,
        flush=timedelta(seconds=parsed.log_flush),
        mask=frozenset(parsed.log_mask),
        key_header="cookie" if parsed.key_cookie else parsed.key_header.lower(),
        key_cookie=parsed.key_cookie,
        secret=secret or None,
        size=parsed.log_size,
        rate=parsed.log_rate,
    )


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise ValueError(text)
    return float(text)


def _seconds(text: str) -> float:
    if not 0 < float(text) < 1e6:
        raise ValueError(text)
    return float(text)


def _bytes(text: str) -> int:
    if not 1 <= int(text) < 2**60:
        raise ValueError(text)
    return int(text)
