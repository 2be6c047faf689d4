"""A strategy turns (what runs now, what should run) into a list of steps that a person can read.

Belongs here: pure functions from specs to plans. Does not belong here: carrying steps out (tasks/rollout_steps.py).
"""
