"""Every error that Seatrial raises on purpose.

    SeatrialError                      exit code
    ├── TryAgain                          5      the same call may succeed later; `delay` says when
    │   ├── RouterUnreachable             5      the gateway's admin interface does not answer
    │   ├── TargetUnreachable             5      the place where model servers run does not answer
    │   ├── MetricsUnreachable            5      the counters cannot be read
    │   ├── RegistryUnreachable           5      MLflow does not answer
    │   ├── SourceUnreachable             5      the data source does not answer
    │   ├── JournalUnreachable            5      the journal in the cluster cannot be read or written
    │   └── PlatformUnreachable           5      a part of the platform is not up
    └── GiveUp                            1      trying the same again cannot help
        ├── DiskFull                      1      a write ran out of space; nothing was replaced by half a file
        ├── Busy                          1      another rollout or another `up` holds the lease
        ├── ClusterRefused                1      the Kubernetes API does not allow or take what is asked
        ├── BadInput                      2      something the user gave is wrong
        │   ├── BadSpec                   2      the product spec; carries every problem at once
        │   ├── BadData                   2      the data cannot be read as the spec says
        │   ├── BadModel                  2      the estimator cannot be built or raised while training
        │   ├── BadArtifact               2      a stored model is corrupt, tampered with or not trusted
        │   └── NotFound                  2      no such product, version or rollout
        ├── Refused                       3      a guard said no; nothing moved
        │   ├── ValidationRefused         3      the data broke a critical expectation
        │   └── GateRefused               3      the candidate is not good enough
        └── RolloutFailed                 4      the rollout was given up and the traffic put back
            ├── RolloutAborted            4      because a person said so
            ├── RouterRefused             4      the gateway does not take the routing
            └── NeverReady                4      the servers did not become ready, or answered wrongly

A message names the thing, the value and the next step.
"""

from datetime import timedelta
from typing import ClassVar


class SeatrialError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1


class TryAgain(SeatrialError):
    """The same call may succeed later. `delay` is how long to wait at least; None leaves it to the caller."""

    exit_code = 5
    delay: timedelta | None = None


class RouterUnreachable(TryAgain):
    """The gateway's admin interface does not answer."""


class TargetUnreachable(TryAgain):
    """The place where model servers run does not answer."""


class MetricsUnreachable(TryAgain):
    """The counters cannot be read: nothing is known of the traffic."""


class RegistryUnreachable(TryAgain):
    """The model registry does not answer."""


class SourceUnreachable(TryAgain):
    """The data source does not answer."""


class JournalUnreachable(TryAgain):
    """The journal in the cluster cannot be read or written: nothing may be done that it does not know of."""


class PlatformUnreachable(TryAgain):
    """A part of the platform is not up."""


class GiveUp(SeatrialError):
    """Trying the same again cannot help."""


class DiskFull(GiveUp):
    """A write ran out of space; what was there before is still whole."""


class ClusterRefused(GiveUp):
    """The Kubernetes API does not allow or take what is asked; the message has its reason."""


class Busy(GiveUp):
    """Somebody else holds the lease."""


class BadInput(GiveUp):
    """Something the user gave is wrong."""

    exit_code = 2


class BadSpec(BadInput):
    """The product spec is wrong; the message lists every problem, one a line."""


class BadData(BadInput):
    """The data cannot be read or used as the spec says."""


class BadModel(BadInput):
    """The estimator cannot be built, or raised while training."""


class BadArtifact(BadInput):
    """A stored model is corrupt, tampered with, or holds types that nobody trusted."""


class NotFound(BadInput):
    """No such product, version or rollout."""


class Refused(GiveUp):
    """A guard said no; nothing moved."""

    exit_code = 3


class ValidationRefused(Refused):
    """The data broke a critical expectation."""


class GateRefused(Refused):
    """The candidate is not good enough to be registered."""


class RolloutFailed(GiveUp):
    """The rollout was given up, and the traffic is where it was before."""

    exit_code = 4


class RolloutAborted(RolloutFailed):
    """A person ended the rollout."""


class RouterRefused(RolloutFailed):
    """The gateway does not take the routing; the old one is still live."""


class NeverReady(RolloutFailed):
    """The new servers did not become ready, or answered wrongly."""
