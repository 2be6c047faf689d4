"""Inference logs as the model servers leave them: where the parts lie, and reading them.

A log is a folder, here or at an fsspec URL, of Parquet parts at `product=…/version=…/date=YYYY-MM-DD/part-….parquet`;
dates are of UTC. Product, version and date stand in the path alone, as whoever reads partitioned data expects. What
lies in `.incoming` is not finished. Does not belong here: writing parts (`deployments.serving.inference_log`).
"""

from deployments.inference_logs.by_key import LoggedAnswer, newest_answers
from deployments.inference_logs.place import (
    FEATURE,
    HASHED,
    INCOMING,
    Log,
    check_place,
    check_reachable_by_fsspec,
    is_url,
    opened,
    part_path,
)
from deployments.inference_logs.reading import answers_between, days_between

__all__ = [
    "FEATURE",
    "HASHED",
    "INCOMING",
    "Log",
    "LoggedAnswer",
    "answers_between",
    "check_place",
    "check_reachable_by_fsspec",
    "days_between",
    "is_url",
    "newest_answers",
    "opened",
    "part_path",
]
