"""The pipelines in infra/ci: right by their public schemas, safe by their text, and run step by step on a clone."""

import importlib.resources
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deployments.settings import Settings
from deployments.webhooks.inbox import Inbox
from tests.advice import followed
from tests.unit.flows.test_webhook_kills import prefect, service
from tests.unit.infra.pipelines import (
    EXPRESSION,
    ROOT,
    document,
    forge,
    github_environment,
    github_steps,
    gitlab_script,
    run,
    shell_environment,
)
from tests.unit.tasks.ci.test_git_base import git

__all__ = ["prefect"]
GITHUB = ["seatrial-try.yml", "seatrial-release.yml", "example-caller.yml"]
INPUTS = {"inputs.requirements": "", "inputs.sample": "10000", "inputs.against": "none"}


def schema(name: str) -> Any:
    return json.loads((importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / name).read_text())


@pytest.mark.parametrize("name", GITHUB)
def test_a_workflow_is_right_by_the_public_schema(name: str) -> None:
    # YAML 1.1 has `on` for true, which the schema does not know.
    text = (ROOT / "infra/ci/github" / name).read_text().replace("\non:\n", '\n"on":\n')
    jsonschema.Draft7Validator(schema("github-workflows.json")).validate(yaml.safe_load(text))


def test_the_template_is_right_by_the_public_schema() -> None:
    jsonschema.Draft7Validator(schema("gitlab-ci.json")).validate(document("gitlab/seatrial.gitlab-ci.yml"))


@pytest.mark.parametrize("name", GITHUB)
def test_a_workflow_is_safe(name: str) -> None:
    found = document(f"github/{name}")
    assert found["permissions"] == {}
    events = found[True]  # `on`
    assert "pull_request_target" not in events
    assert "workflow_run" not in events
    for job in found["jobs"].values():
        assert set(job.get("permissions", {}).values()) <= {"read", "write"}
        writes = [scope for scope, may in job["permissions"].items() if may == "write"]
        assert writes in ([], ["pull-requests"])
        for step in job.get("steps", []):
            assert not EXPRESSION.search(step.get("run", "")), "no input is part of a script"
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_what_runs_the_requests_own_code_may_only_read_and_what_may_write_runs_none_of_it() -> None:
    jobs = document("github/seatrial-try.yml")["jobs"]
    assert jobs["try"]["permissions"] == {"contents": "read"}
    assert "secrets" not in (ROOT / "infra/ci/github/seatrial-try.yml").read_text().partition("jobs:")[2]
    assert not any(step.get("uses", "").startswith("actions/checkout") for step in jobs["comment"]["steps"])
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository, with a commit that lets flights be released by blue_green."""
    folder = tmp_path_factory.mktemp("ci") / "clone"
    git(ROOT, "clone", "-q", "--no-hardlinks", str(ROOT), str(folder))
    spec = folder / "specs" / "flights.yaml"
    spec.write_text(spec.read_text().replace("strategy: rolling", "strategy: blue_green"))
    git(folder, "commit", "-qam", "flights by blue_green")
    return folder


@pytest.fixture
def environment(clone: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    yield shell_environment(tmp_path, clone, Path(sys.executable))
    assert git(clone, "status", "--porcelain", "--untracked-files=no") == ""
    assert not (clone / ".seatrial").exists()


def on_github(path: str, job: str, clone: Path, environment: dict[str, str], context: dict[str, str]) -> str:
    """What all its steps said."""
    said = ""
    for step in github_steps(path, job):
        done = run(step["run"], clone, environment | github_environment(step, context))
        assert done.returncode == 0, (step["name"], done.stdout, done.stderr)
        said += done.stdout
    return said


def test_a_pull_request_on_github_is_tried_and_has_one_comment(
    clone: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    base = git(clone, "rev-parse", "HEAD^")
    summary = tmp_path / "summary.md"
    context = INPUTS | {"github.event.pull_request.base.sha": base}
    on_github("github/seatrial-try.yml", "try", clone, environment | {"GITHUB_STEP_SUMMARY": str(summary)}, context)
    report = (clone / "seatrial-report.md").read_text()
    assert summary.read_text() == report
    assert "1 spec changed, all is well" in report
    assert re.search(r"rollout\.strategy \| rolling \| blue\\_green", report)

    with forge() as there:
        context = {
            "github.api_url": there.url,
            "github.repository": "acme/models",
            "github.event.pull_request.number": "12",
            "github.token": "t0ken",
        }
        for _ in range(2):
            on_github("github/seatrial-try.yml", "comment", clone, environment, context)
        bodies = [each["body"] for each in there.comments]
        assert bodies == ["<!-- seatrial-ci --> forged", report]
        assert [asked.split()[0] for asked in there.asked] == ["GET", "GET", "POST", "GET", "PATCH"]
        assert there.tokens == {"Bearer t0ken"}


def test_a_merge_request_on_gitlab_is_tried_and_has_one_comment(clone: Path, environment: dict[str, str]) -> None:
    head = git(clone, "rev-parse", "HEAD")
    tried = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": head, "SAMPLE": "1000", "AGAINST": "none"}
    done = run(gitlab_script("seatrial-try"), clone, environment | tried)
    assert done.returncode == 0, done.stderr
    report = (clone / "seatrial-report.md").read_text()
    assert "No spec changed" in report
    with forge() as there:
        told = {
            "CI_API_V4_URL": there.url,
            "CI_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": "12",
            "COMMENT_TOKEN": "t0ken",
        }
        for _ in range(2):
            done = run(gitlab_script("seatrial-comment"), clone, environment | told)
            assert done.returncode == 0, done.stderr
        assert [each["body"] for each in there.comments] == ["<!-- seatrial-ci --> forged", report]
        assert there.asked[-1] == "PUT /projects/3/merge_requests/12/notes/2"
        assert there.tokens == {"t0ken"}


@pytest.mark.parametrize("host", ["github", pytest.param("gitlab", marks=pytest.mark.crash)])
def test_a_merge_starts_the_release_of_what_changed_once(
    host: str, clone: Path, environment: dict[str, str], tmp_path: Path, prefect: str
) -> None:
    """At a real control service; the job runs a second time, as a person may let it."""
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.private_home()
    sent = ".venv/bin/seatrial webhook send flights --url http://127.0.0.1:1"
    made = ".venv/bin/seatrial webhook create generic flights --on release --json"
    refused = run(f"make install; {sent} || {made}", clone, environment | {"SEATRIAL_HOME": str(settings.home)})
    assert followed(": `seatrial webhook create generic PRODUCT` on the platform's machine shows one") in refused.stderr
    key = json.loads(refused.stdout)["key"]
    keys = json.dumps({"flights": key, "bikeshare": key})
    before = git(clone, "rev-parse", "HEAD^")
    with service(tmp_path, prefect, "none") as (_, url):
        for expected in ("flights: accepted", "flights: it was accepted before"):
            if host == "github":
                context = INPUTS | {
                    "github.event.before": before,
                    "inputs.gateway": url,
                    "github.run_id": "4711",
                    "secrets.SEATRIAL_WEBHOOK_KEYS": keys,
                }
                said = on_github("github/seatrial-release.yml", "release", clone, environment, context)
            else:
                told = {
                    "CI_COMMIT_BEFORE_SHA": "0" * 40,
                    "GATEWAY": url,
                    "CI_PIPELINE_ID": "4711",
                    "SEATRIAL_WEBHOOK_KEYS": keys,
                }
                done = run(gitlab_script("seatrial-release"), clone, environment | told)
                assert done.returncode == 0, done.stderr
                said = done.stdout
            assert said.strip() == expected
        inbox = Inbox(settings.feedback_database)
        (found,) = inbox.newest(10)
        inbox.close()
    assert (found.product, found.wish.action, found.who) == ("flights", "release", "generic (webhook)")
    assert key not in (tmp_path / "log").read_text()
