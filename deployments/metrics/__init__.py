"""Where counts come from: what each version answered, how fast, what it predicted, and what users said of it.

`protocol` is the door, `composite` the real one of the embedded platform, `in_memory` for tests and dry runs. It reads
the gateway's counters, model servers (`model_servers`), pairs of predictions (`paired_predictions`) and pushed values
(`feedback`).
Belongs here: reading counters. Does not belong here: judging them (analysis), deciding when to look (rollout).
"""
