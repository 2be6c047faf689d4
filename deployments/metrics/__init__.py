"""Where counts come from: what each version answered, how fast, and what it predicted.

`protocol` is the door, `envoy` the real one of the embedded platform, `in_memory` for tests and dry runs.
Belongs here: reading counters. Does not belong here: judging them (analysis), deciding when to look (rollout).
"""
