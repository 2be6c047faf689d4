"""Inference logs as the model servers leave them: where the parts lie, reading them, and what they take.

A log is a folder, here or at an fsspec URL, of Parquet parts at `product=…/version=…/date=YYYY-MM-DD/part-….parquet`;
dates are of UTC. Product, version and date stand in the path alone, as whoever reads partitioned data expects. What
lies in `.incoming` is not finished. Whoever writes makes room by removing the oldest parts, so a reader may miss one
that was listed. Does not belong here: writing parts (`deployments.serving.inference_log`).
"""

from deployments.inference_log_reader.last_answer_by_user import LoggedAnswer, newest_answers
from deployments.inference_log_reader.location import (
    FEATURE,
    HASHED,
    INCOMING,
    Log,
    check_location,
    check_reachable_by_fsspec,
    is_url,
    open_filesystem,
    part_path,
)
from deployments.inference_log_reader.part_sizes import (
    StoredPart,
    missing_bytes,
    oldest,
    parts_at,
    parts_in,
    remove_part,
)
from deployments.inference_log_reader.reader import answers_between, days_between

__all__ = [
    "FEATURE",
    "HASHED",
    "INCOMING",
    "Log",
    "LoggedAnswer",
    "StoredPart",
    "answers_between",
    "check_location",
    "check_reachable_by_fsspec",
    "days_between",
    "is_url",
    "missing_bytes",
    "newest_answers",
    "oldest",
    "open_filesystem",
    "part_path",
    "parts_at",
    "parts_in",
    "remove_part",
]
