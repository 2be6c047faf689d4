"""The journal in a Kubernetes namespace: any runner that reaches the API server can pick a rollout up.

| object | what it holds |
| --- | --- |
| Lease `seatrial-<product>` | who may change the product's traffic; `leaseTransitions` is the fencing token |
| ConfigMap `seatrial-rollout-<rollout>` | a rollout's state, its newest evidence, and the token it was written under |
| ConfigMap `seatrial-orders-<rollout>` | the newest orders |
| ConfigMap `seatrial-events-<product>` | the newest events |
| ConfigMap `<one of the three>.<hash>` | a chunk of older lines; never changed |

Belongs here: what makes one object after the other safe where no transaction spans two. Does not belong here: how
states, blocks, orders and events look; that is the same in every journal.
"""

from deployments.journals.kubernetes.journal import ClusterJournal

__all__ = ["ClusterJournal"]
