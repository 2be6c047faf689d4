"""From a data source to an immutable snapshot, and from a snapshot to training and evaluation rows.

Belongs here: reading, fingerprints, windows, copies, splits. Does not belong here: what the data must satisfy
(`tasks.data_validation`), what becomes of a column inside the model (`tasks.models`).
"""
