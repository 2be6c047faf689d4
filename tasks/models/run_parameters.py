"""Parameters of a run under names that MLflow takes; scikit-learn's may hold any text, such as `lr(C=1)__C`."""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from typing import Final

LONGEST_NAME: Final = 250
LONGEST_VALUE: Final = 6000
_REFUSED: Final = re.compile(r"[^\w\-. :/]")
_CUT: Final = "…"


def run_parameters(params: Mapping[str, str]) -> dict[str, str]:
    """The same parameters in the same order, by names and of lengths that MLflow keeps; none takes another's place.

    A character that MLflow refuses becomes `_`. A name of more than 250 characters, or that would be another's, ends
    with eight hexadecimal digits of its SHA-256; a value of more than 6,000 ends with `…`.
    """
    written: dict[str, str] = {}
    for name, value in params.items():
        plain = _plain(name)
        if plain in written or len(plain) > LONGEST_NAME:
            plain = f"{plain[: LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        written[plain] = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + _CUT
    return written


def _plain(name: str) -> str:
    plain = _REFUSED.sub("_", name)
    is_path = posixpath.normpath(plain) == plain and not plain.startswith(("/", "."))
    return plain if is_path else plain.replace("/", "_").lstrip(".") or "_"
