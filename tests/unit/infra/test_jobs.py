"""The Job of a flow run, as Prefect's worker makes it of the chart's template."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import kubernetes_validate
import pytest
import yaml
from prefect.client.schemas.objects import FlowRun

from tests.unit.infra.helm import LEAST, MOST, NAMESPACE, ROOT, kinds
from tests.unit.infra.pods import shown, weaknesses

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def job(values: dict[str, Any], flow_run: FlowRun | None = None, **given: object) -> dict[str, Any]:
    """The manifest for a run of a deployment whose job variables are `given`."""
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads(kinds(values, "ConfigMap")["jobs"]["data"]["base-job-template.json"])
    # The template names no blocks: nobody is asked, but without a client Prefect would start a server.
    unasked: Any = object()
    made = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template, dict(given), client=unasked))
    made.prepare_for_flow_run(flow_run or FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter"))
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


def test_only_it_is_shown_the_key_of_seals_and_no_other_key_as_a_file() -> None:
    for values in (LEAST, MOST):
        made = job(values)
        assert shown(made["spec"]["template"]["spec"]) == {"manifests"}
        told = {each["name"]: each.get("value") for each in container(made)["env"]}
        assert told["SEATRIAL_KEYS"] in {each["mountPath"] for each in container(made)["volumeMounts"]}


@pytest.mark.parametrize("given", ["", "mine"])
def test_it_tells_pods_of_models_the_secret_that_there_is(given: str) -> None:
    told = {each["name"]: each.get("value") for each in container(job(LEAST | {"keys": {"secret": given}}))["env"]}
    assert told["SEATRIAL_REQUESTS_SECRET"] == (given or "demo-seatrial-keys")


def test_a_deployment_says_what_its_runs_may_take_and_where() -> None:
    given = {"resources": {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}}
    made = job(LEAST, node_selector={"disk": "fast"}, **given)
    assert container(made)["resources"]["requests"]["cpu"] == "4"
    assert made["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "fast"}


# What a run may bring with it at Prefect's API, under the names of Prefect's own template and of Kubernetes.
HOSTILE: dict[str, Any] = {
    "command": "sh -c id", "args": ["id"], "image": "evil/image", "image_pull_policy": "Always",
    "env": {"LD_PRELOAD": "/evil.so", "SEATRIAL_TRACKING_URI": "http://evil"}, "env.LD_PRELOAD": "/evil.so",
    "settings": [{"name": "X", "value": "x"}], "namespace": "kube-system", "service_account_name": "admin",
    "volumes": [{"name": "root", "hostPath": {"path": "/"}}], "volume_mounts": [{"name": "root", "mountPath": "/host"}],
    "name": "evil", "labels": {"app.kubernetes.io/part-of": "seatrial"}, "annotations": {"evil": "yes"},
    "image_pull_secrets": [{"name": "evil"}], "working_dir": "/", "job_manifest": {}, "job_configuration": {},
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_nothing_else_of_a_job_is_for_a_run_to_say(name: str) -> None:
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")
    assert job(MOST, flow_run, **{name: HOSTILE[name]}) == job(MOST, flow_run)
    schema = json.loads(kinds(MOST, "ConfigMap")["jobs"]["data"]["base-job-template.json"])["variables"]
    with pytest.raises(jsonschema.ValidationError, match="Additional properties are not allowed"):
        jsonschema.validate({name: HOSTILE[name]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"resources": {"claims": []}}, schema)


def test_its_command_is_prefects_own() -> None:
    assert container(job(MOST))["args"] == ["prefect", "flow-run", "execute"]
    assert job(MOST)["metadata"]["generateName"] == "brave-otter-"


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
