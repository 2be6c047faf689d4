"""The model server: a process of its own that answers predictions of one model version over HTTP.

`python -m deployments.serving --model FOLDER --product NAME --version N --uds PATH` (or `--port N`).

Belongs here: loading a model folder, requests → frame → predictions, the HTTP skin, shutting down without losing a
request. Does not belong here: Prefect, MLflow, Great Expectations, anything of `tasks` or `flows`; keeping
servers alive (`deployments.targets`).
"""
