"""A fake of the Kubernetes API server. It belongs to the contract tests; nothing that is shipped knows of it.

What belongs here: what a client can see of a real server and its controllers. What does not: scheduling, networks,
schemas of whole objects."""

from .answers import Proxied
from .fake import FakeKubernetes
from .faults import ConnectionCut, Faults, Request
from .routing import Target
from .scripts import (
    CRASHING,
    IMAGE_MISSING,
    NEVER_READY,
    PROBE_FAILING,
    READY,
    UNSCHEDULABLE,
    Fate,
    PodScript,
    Verdict,
)

__all__ = [
    "CRASHING",
    "IMAGE_MISSING",
    "NEVER_READY",
    "PROBE_FAILING",
    "READY",
    "UNSCHEDULABLE",
    "ConnectionCut",
    "FakeKubernetes",
    "Fate",
    "Faults",
    "PodScript",
    "Proxied",
    "Request",
    "Target",
    "Verdict",
]
