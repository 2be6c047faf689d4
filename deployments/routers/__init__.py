"""Who gets which share of a product's traffic.

`protocol` is the door, `envoy` the real gateway of the embedded platform, `in_memory` the one for tests and dry runs.
Does not belong here: the decision which weights to set (rollout, strategies).
"""
