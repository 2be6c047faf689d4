"""WHEN things are done: the order, the branches, the waits. No client, no arithmetic.

A flow reads like the picture in the README. What a step does stands in `tasks`, how it meets traffic in `deployments`.
"""
