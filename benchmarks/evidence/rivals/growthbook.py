"""GrowthBook's sequential test, in its own environment: a rollout a line on stdin, the look that rolls back on stdout.

By user, as GrowthBook does it: the mean, over all users so far, of the share of a user's requests that went badly. The
release has a two-sided test only, so that one side has half its level.
"""

import json
import sys
import warnings

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import SampleMeanStatistic

ALPHA = 0.01  # one-sided
warnings.simplefilter("ignore")


def rolls_back(look: dict) -> bool:
    """Whether the candidate is significantly worse."""
    arms = [
        SampleMeanStatistic(n=users, sum=total, sum_squares=squares)
        for users, total, squares in zip(look["users"], look["total"], look["squares"], strict=True)
    ]
    if min(arm.n for arm in arms) < 2:
        return False
    result = SequentialTwoSidedTTest(*arms, SequentialConfig(alpha=2 * ALPHA)).compute_result()
    return result.error_message is None and result.expected > 0 and result.p_value < 2 * ALPHA


for line in sys.stdin:
    looks = json.loads(line)["looks"]
    print(json.dumps(next((number for number, look in enumerate(looks, 1) if rolls_back(look)), None)), flush=True)
