"""Webhooks in: what others may ask for by a signed request, how it is kept, and how it becomes a run.

Belongs here: who signs how (`sources/`, one file a source), keys, limits of what is signed, the inbox, what starts
runs, and what finds changes of the registry that nobody delivered. Does not belong here: HTTP (the control service).
"""
