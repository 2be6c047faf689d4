"""Where model versions run.

`protocol` is the door, `process` keeps servers on this machine under supervisord, `in_memory` is for tests.
Does not belong here: traffic (routers), the order of launching and retiring (strategies).
"""
