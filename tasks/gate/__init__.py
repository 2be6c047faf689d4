"""Is the candidate good enough? Metrics on held-out rows, and the rules that judge them.

Belongs here: pure arithmetic on predictions, and verdicts with their reasons. Does not belong here: training, logging.
"""
