"""What data must satisfy before anything is learned from it, and what was found.

Belongs here: suite files, the checks, their report, the proposal of a first suite. Does not belong here: reading data
(`tasks.datasets`), what follows from a report (`flows`). Only `expectations` imports Great Expectations.
"""
