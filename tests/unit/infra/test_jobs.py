"""The Job of a flow run, as Prefect's worker makes it of the chart's template."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
import yaml
from prefect.client.schemas.objects import FlowRun

from tests.unit.infra.helm import LEAST, MOST, NAMESPACE, ROOT, kinds
from tests.unit.infra.pods import weaknesses

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def job(values: dict[str, Any], **given: object) -> dict[str, Any]:
    """The manifest for a run of a deployment whose job variables are `given`."""
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads(kinds(values, "ConfigMap")["jobs"]["data"]["base-job-template.json"])
    # The template names no blocks: nobody is asked, but without a client Prefect would start a server.
    unasked: Any = object()
    made = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template, dict(given), client=unasked))
    made.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter"))
    manifest: dict[str, Any] = made.job_manifest
    return manifest


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_it_is_one_that_the_api_takes_and_restricted(values: dict[str, Any]) -> None:
    manifest = job(values)
    spec = manifest["spec"]["template"]["spec"]
    assert list(weaknesses(spec)) == []
    for of_jobs in (
        "parallelism",
        "completions",
    ):  # Prefect insists on them in the pod's spec, where the API drops them
        assert spec.pop(of_jobs) == 1
    kubernetes_validate.validate(manifest, "1.36", strict=True)


def test_it_runs_as_the_account_that_may_roll_out_in_the_namespace_of_the_release() -> None:
    manifest = job(LEAST)
    spec = manifest["spec"]["template"]["spec"]
    assert (manifest["metadata"]["namespace"], spec["serviceAccountName"]) == (NAMESPACE, "demo-seatrial-runner")
    assert spec["automountServiceAccountToken"] is True
    assert manifest["spec"]["template"]["metadata"]["labels"]["seatrial.dev/role"] == "run"


def test_it_knows_what_the_release_knows_and_passwords_by_reference() -> None:
    variables = {each["name"]: each for each in container(job(MOST))["env"]}
    assert variables["SEATRIAL_TRACKING_URI"]["value"] == f"http://demo-seatrial-mlflow.{NAMESPACE}.svc:5000"
    assert variables["SEATRIAL_ALLOWED_PACKAGES"]["value"] == '["sklearn"]'
    for name in ("SEATRIAL_JOURNAL_URL", "AWS_SECRET_ACCESS_KEY", "SOURCE"):
        assert "secretKeyRef" in variables[name]["valueFrom"]


def test_a_deployments_own_variables_win() -> None:
    given = {"resources": {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}}
    made = container(job(LEAST, env={"SEATRIAL_TRACKING_URI": "http://other"}, **given))
    assert [each["value"] for each in made["env"] if each["name"] == "SEATRIAL_TRACKING_URI"] == ["http://other"]
    assert made["resources"]["requests"]["cpu"] == "4"


def test_its_writable_folders_are_its_own_and_the_specs_are_there() -> None:
    made = job(MOST)
    volumes = {each["name"]: each for each in made["spec"]["template"]["spec"]["volumes"]}
    mounts = {each["mountPath"]: each["name"] for each in container(made)["volumeMounts"]}
    assert {path for path, name in mounts.items() if "emptyDir" in volumes[name]} == {"/home/seatrial", "/tmp"}  # noqa: S108
    assert volumes[mounts["/project/specs"]]["configMap"]["name"] == "demo-seatrial-specs"


def test_the_job_variables_of_prefect_yaml_are_those_of_the_template() -> None:
    template = json.loads((ROOT / "infra" / "chart" / "files" / "base-job-template.json").read_text())
    for deployment in yaml.safe_load(Path(ROOT / "prefect.yaml").read_text())["deployments"]:
        assert set(deployment["work_pool"]["job_variables"]) <= set(template["variables"]["properties"])
        assert (
            deployment["work_pool"]["name"]
            == yaml.safe_load((ROOT / "infra" / "chart" / "values.yaml").read_text())["worker"]["pool"]
        )
