"""WHAT is done: one retryable, observable unit each, a short body over plain functions.

The modules of this folder hold the Prefect tasks; the plain functions that they call stand in the sub-folders
(`datasets`, `data_validation`, `models`, `gate`, `rollout_engine` and others) and know nothing of Prefect.
Does not belong here: the order of things (`flows`).
"""
