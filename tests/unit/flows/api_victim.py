"""The control service, which kills itself at one moment between a request to the API and its answer.

`python -m tests.unit.flows.api_victim POINT --port PORT`; none of the points: it lives.
"""

import sys

from deployments.journals.database import DatabaseJournal
from deployments.prefect_api import PrefectApi
from flows.entrypoints.control_service.api.idempotency import Answers
from flows.entrypoints.control_service.main import main
from tests.unit.flows.webhook_victim import deadly

# By the method at whose beginning, or end, it dies.
POINTS: dict[str, tuple[type, str, bool]] = {
    "asked": (Answers, "begin", False),
    "begun": (Answers, "begin", True),
    "giving": (DatabaseJournal, "give", False),
    "given": (DatabaseJournal, "give", True),
    "starting": (PrefectApi, "start_run", False),
    "started": (PrefectApi, "start_run", True),
    "answering": (Answers, "answered", False),
    "answered": (Answers, "answered", True),
}


if __name__ == "__main__":
    if (where := POINTS.get(sys.argv[1])) is not None:
        owner, name, at_its_end = where
        setattr(owner, name, deadly(getattr(owner, name), at_its_end))
    main(sys.argv[2:])
