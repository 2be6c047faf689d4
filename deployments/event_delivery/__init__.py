"""Events out: what was journalled, told to whoever subscribed, and to Prefect.

Belongs here: which events there are and what they hold, who subscribed, the outbox between the journal and them, and
sending. Does not belong here: what is journalled (`tasks`), and commands about it (`flows.entrypoints.cli.events`).
"""
