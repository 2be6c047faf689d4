"""HOW a model version meets live traffic: plain Python that never imports Prefect.

A *deployment* here is a model version that serves requests. Prefect's own deployments (a flow with a schedule and
parameters) are declared in `prefect.yaml`, nowhere else.

Belongs here: the rollout engine, the doors to routers, targets and journals, the model registry, the model server, the
embedded platform. Does not belong here: data, training, gates (`tasks`), the order of things (`flows`).
"""
