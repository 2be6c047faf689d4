"""How a rollout survives a crash, and how a decision is explained a year later.

`protocol` is the door, `database` the real one (SQLite, PostgreSQL), `in_memory` for tests and dry runs.
"""
