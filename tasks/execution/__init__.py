"""Where the parallel part of a fit runs: on this machine, on a Dask cluster or on a Ray cluster.

Belongs here: reaching a cluster, handing it the pieces that joblib cuts a fit into, and what goes wrong meanwhile. Does
not belong here: what is fitted (`tasks.models`). Dask and Ray are extras, each imported in one module only.
"""
