"""The embedded platform: which processes run on this machine, on which ports, and how they are started and ended.

Belongs here: gateway, Prefect server and worker, MLflow pages, all kept by one supervisord. Does not belong here: model
servers (targets), routes (routers).
"""
