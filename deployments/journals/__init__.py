"""How a rollout survives a crash, and how a decision is explained a year later.

`protocol` is the door, `database` (SQLite, PostgreSQL) and `kubernetes` (a Kubernetes namespace) are the real ones,
`in_memory` is for tests and dry runs.
"""
