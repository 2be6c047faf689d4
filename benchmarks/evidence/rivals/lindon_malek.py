"""savvi's multinomial test of counts (Lindon & Malek), in its own environment: a rollout a line, its last look back.

By user: whose users met something bad for the first time? Each such user is one count, the candidate's with a chance of
its share of the users if both versions are alike. One-sided: the candidate's intensity is at most the champion's.
"""

import json
import sys
import warnings

import numpy as np
from cvxpy.error import SolverError
from savvi.multinomial import InhomogeneousBernoulliProcess

ALPHA = 0.01
warnings.simplefilter("ignore")


def first_rollback(share: float, looks: list) -> int | None:
    """The look, counted from 1, after which the candidate is significantly worse; None: never."""
    test = InhomogeneousBernoulliProcess(
        ALPHA, np.array([1 - share, share]), lambda delta: [delta[1] <= delta[0]], np.array([[-1, 1]])
    )
    for number, look in enumerate(looks, 1):
        counts = np.array(look["fell"])
        if not counts.sum():
            continue
        try:
            test.update(counts)
        except SolverError:
            continue
        if test.odds is not None and test.odds > 1 / ALPHA:  # None: its solver found nothing in this look
            return number
    return None


for line in sys.stdin:
    rollout = json.loads(line)
    print(json.dumps(first_rollback(rollout["share"], rollout["looks"])), flush=True)
