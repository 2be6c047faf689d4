"""Seatrial's model server beside four others, on the same models and machine: `python -m benchmarks.serving --help`.

Belongs here: who is measured and how they are set up, the load, what it cost, the table and the plot. Each rival runs
in an environment of its own, made from `requirements/`; what runs there is in `servers/` and imports nothing of ours.
"""
