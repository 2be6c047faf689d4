"""From training rows to a model that is stored, recorded and can be judged.

Belongs here: estimators, preprocessing, fitting within limits, the training run in MLflow. Does not belong here:
metrics and verdicts (`tasks.gate`), versions and their names (`deployments.registry`).
"""
