"""What the judgement of a candidate is worth, by simulation, beside rules in common use and two peers.

Belongs here: simulated traffic, and how often and when each rule speaks. Does not belong here: how `judge` works.
"""
