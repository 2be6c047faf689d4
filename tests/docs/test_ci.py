"""What docs/ci.md claims: by the pipelines themselves, and by the table of what is tried."""

from tasks.ci.changed_specs import Fate
from tasks.ci.report import LONGEST, exit_code
from tasks.ci.trial import Outcome, Trial
from tests.docs.claims import claim
from tests.unit.infra.pipelines import ROOT, document


def ended(code: int) -> Trial:
    return Trial("specs/a.yaml", "a", Fate.CHANGED, Outcome.BROKEN, code)


@claim("docs/ci.md", "of several specs the worst counts, 2 before 5 before 3.")
def test_the_worst_counts() -> None:
    assert exit_code([ended(0), ended(3), ended(5), ended(2)]) == 2
    assert exit_code([ended(3), ended(5), ended(0)]) == 5


@claim("docs/ci.md", "It is shorter than GitHub's 65,536 characters,")
def test_a_report_fits_into_a_comment() -> None:
    assert LONGEST < 65_536  # held by tests/unit/tasks/ci/test_report.py


@claim("docs/ci.md", "The event is `pull_request`, never `pull_request_target`, so code from a fork sees no secret;")
@claim("docs/ci.md", "Copy `seatrial-try.yml` and `seatrial-release.yml` from `infra/ci/github/` to")
def test_the_files_are_there_and_begin_on_pull_request() -> None:
    events = document("github/example-caller.yml")[True]
    assert set(events) == {"pull_request", "push"}
    called = {job["uses"] for job in document("github/example-caller.yml")["jobs"].values()}
    assert called == {f"./.github/workflows/seatrial-{each}.yml" for each in ("try", "release")}
    assert all((ROOT / "infra/ci/github" / each.rpartition("/")[2]).is_file() for each in called)


@claim("docs/ci.md", "The job `seatrial-try` runs in pipelines of merge requests, and its report is an artifact.")
def test_the_job_of_gitlab_keeps_its_report() -> None:
    job = document("gitlab/seatrial.gitlab-ci.yml")["seatrial-try"]
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert (job["artifacts"]["when"], job["artifacts"]["paths"]) == ("always", ["seatrial-report.md"])
