"""What the server answered, row by row, as Parquet parts for whoever looks at it later.

Belongs here: keeping answers in memory within bounds, making tables and parts of them beside the event loop, surviving
a store that takes nothing. Does not belong here: reading parts (`deployments.inference_log_reader`); what was predicted
in sum (`deployments.serving.prediction_bins`).
"""

from deployments.serving.inference_log.buffer import Bounds, InferenceLog, Logged
from deployments.serving.inference_log.options import LogOptions, add_flags, options_of
from deployments.serving.inference_log.writer_thread import recording

__all__ = [
    "Bounds",
    "InferenceLog",
    "LogOptions",
    "Logged",
    "add_flags",
    "options_of",
    "recording",
]
