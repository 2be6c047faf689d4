"""Carrying out a rollout: write the intent to the journal, act, read back, write the outcome.

Belongs here: the side effects of each step, over the doors. Does not belong here: which step comes next
(deployments/rollout) and the order of the plan (deployments/strategies).
"""
