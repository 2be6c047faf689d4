"""Judging a candidate: counts in, verdict out.

Belongs here: anytime-valid statistics over blocks of counts (`../shared/design/statistics.md` names the papers). Does
not belong here: where counts come from (metrics), what follows from a verdict (rollout), any clock or client.
"""
