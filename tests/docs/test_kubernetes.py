"""What docs/kubernetes.md claims of objects, of the chart and of what is asked of a cluster."""

import json
import re
import shlex
import tomllib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cluster.rate_limit import RATE
from deployments.journals.kubernetes.journal import EVENTS_KEPT, ROLLOUTS_KEPT, ClusterJournal
from deployments.journals.lease_renewal import _SHARE
from deployments.routers.kubernetes_service.pod_shares import nearest, pods_for
from deployments.spec import KubernetesSection
from deployments.targets.kubernetes.manifests import Served, autoscaler, deployment, disruption_budget, service
from deployments.targets.protocol import Launch
from deployments.traffic import Weights
from flows.entrypoints.runner.deploy_flows import release_of
from flows.parameters import ReleaseRequest
from tasks.rollout_engine.lease import LEASE
from tasks.spec_file import load_product
from tests.architecture.test_documentation import rows
from tests.docs.claims import claim
from tests.docs.pages import ROOT, commands
from tests.unit.infra.helm import MOST, kinds, objects

VALUES: dict[str, Any] = yaml.safe_load((ROOT / "infra/chart/values.yaml").read_text())
LAUNCH = Launch("flights", 3, Path("/models"), replicas=2)
POOL: dict[str, Any] = json.loads((ROOT / "infra/chart/files/base-job-template.json").read_text())


def words_of(begins: str) -> list[str]:
    """The words of a command of the page."""
    (found,) = (each.text for each in commands("docs/kubernetes.md") if each.text.startswith(begins))
    return shlex.split(found)


@claim(
    "docs/kubernetes.md",
    "| Deployment | `replicas` pods; never fewer ready ones while something changes (`maxUnavailable: 0`) |",
    "| Service | three ports to the same pods: 8080 for users, 8081 for copies whose answers nobody gets, 8082 for "
    "requests that "
    "are also copied |",
    "| PodDisruptionBudget | nodes are emptied one ready pod at a time |",
    "| HorizontalPodAutoscaler | only with `autoscaling`; `replicas` is then the least, and nobody else sets the "
    "number.",
    "Pods keep to the *restricted* pod security standard: not root, no token, no capability, a read-only root file "
    "system.",
    "A pod that leaves waits 5 s, until every node and gateway has heard of it,",
    "An init container fetches the model from the registry and proves its manifest; `model: image` has it [baked "
    "in](#the-image).",
)
def test_the_objects_of_a_version_are_those_of_the_page() -> None:
    section = KubernetesSection.model_validate({"image": "seatrial:1"})
    served = Served(LAUNCH, section, "http://mlflow")
    made = deployment(served)
    assert made["metadata"]["name"] == f"model-{LAUNCH.product}-v{LAUNCH.version}"
    assert {"seatrial.dev/product", "seatrial.dev/version"} <= set(made["metadata"]["labels"])
    assert made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert made["spec"]["replicas"] == LAUNCH.replicas
    assert [port["port"] for port in service(served)["spec"]["ports"]] == [8080, 8081, 8082]
    assert disruption_budget(served)["spec"]["maxUnavailable"] == 1
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
    locked = container["securityContext"]
    assert (locked["readOnlyRootFilesystem"], locked["capabilities"]) == (True, {"drop": ["ALL"]})
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
    assert len(pod["initContainers"]) == 1
    baked = Served(LAUNCH, section.model_copy(update={"model": "image"}), None)
    assert "initContainers" not in deployment(baked)["spec"]["template"]["spec"]
    scaled = section.model_validate({"image": "seatrial:1", "autoscaling": {"most": 9}})
    assert scaled.autoscaling is not None
    assert "replicas" not in deployment(Served(LAUNCH, scaled, None))["spec"]
    assert autoscaler(served, scaled.autoscaling)["spec"]["minReplicas"] == LAUNCH.replicas


@claim(
    "docs/kubernetes.md",
    "shares are whole pods, so that 4 replicas make 20, 25, 33.33, 40, 42.86, 50 % and so on, and `seatrial lint` "
    "names the "
    "nearest.",
)
def test_four_pods_make_the_shares_of_the_page() -> None:
    for percent in (20, 25, 33.33, 40, 42.86, 50):
        assert (
            pods_for(Weights.of_parts({1: round(10_000 - 100 * percent), 2: round(100 * percent)}), {1: 4, 2: 4})
            is not None
        )
    assert nearest(30, 4) == (25, 33.33)
    assert nearest(41, 4) == (40, 42.86)


@claim(
    "docs/kubernetes.md",
    "of each product stay the newest 5,000 events, and 100 rollouts that ended with their evidence;",
    "A lease lasts a minute and is renewed every twenty seconds while its holder works.",
    "Whoever carries a rollout asks for orders every five seconds,",
    "A process asks one API server at most 50 times a second, after a rest 100 times at once, and waits beyond that.",
)
def test_the_cluster_is_asked_and_written_to_as_the_page_says() -> None:
    assert (EVENTS_KEPT, ROLLOUTS_KEPT) == (5000, 100)
    assert (timedelta(minutes=1), timedelta(seconds=20)) == (LEASE, LEASE / _SHARE)
    assert ClusterJournal.orders_every == timedelta(seconds=5)
    assert RATE == 50.0
    assert "BURST: Final = 100" in (ROOT / "deployments/cluster/rate_limit.py").read_text()  # tests set it higher


@claim(
    "docs/kubernetes.md",
    "`infra/chart` installs Seatrial into a namespace.",
    "helm install seatrial infra/chart -n ml --set",
)
def test_the_chart_takes_the_values_of_the_page() -> None:
    words = words_of("helm install")
    values: dict[str, Any] = {}
    for name, value in (word.split("=", 1) for flag, word in pairwise(words) if flag == "--set"):
        place = values
        *way, last = name.split(".")
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    made = objects(values, words[2], words[words.index("-n") + 1])
    assert any(each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-worker") for each in made)


@claim(
    "docs/kubernetes.md",
    "| `worker` | starts a Job for each flow run; its init container makes the work pool and deploys the flows of "
    "`prefect.yaml` and a release for each product | |",
    "| where the cluster is unlike others | values |",
)
def test_every_value_that_the_page_names_is_one_of_the_chart() -> None:
    named = [
        code
        for header, columns in (("part", (0, 2)), ("where the cluster is unlike others", (1,)))
        for row in rows(ROOT / "docs" / "kubernetes.md", header)
        for column in columns
        for code in re.findall(r"`([a-z][a-zA-Z.]*)(?::[^`]*)?`", row[column] if len(row) > column else "")
    ]
    named = [code for code in named if code not in {"valueFrom", "resources"}]  # of Kubernetes itself; of every part

    def known(path: str) -> bool:
        place: Any = VALUES
        for part in path.split("."):
            if not isinstance(place, dict) or part not in place:
                return False
            place = place[part]
        return True

    assert "prefect.server.env" in named
    assert [code for code in named if not known(code) and code not in {"postgresql.journal"}] == []


@claim("docs/kubernetes.md", "A Job is not repeated by Kubernetes (`backoffLimit: 0`).")
def test_a_job_is_not_repeated() -> None:
    assert POOL["job_configuration"]["job_manifest"]["spec"]["backoffLimit"] == 0


@claim(
    "docs/kubernetes.md",
    "prefect work-pool create seatrial --type kubernetes --base-job-template base-job-template.json",
    "prefect worker start --pool seatrial --type kubernetes",
    "pip install 'seatrial[cluster]'",
    "The work pool is of type `kubernetes`.",
)
def test_the_commands_without_the_chart_name_what_there_is() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    pools = {each["work_pool"]["name"] for each in deployments}
    assert pools == {words_of("prefect work-pool")[3]} == {words_of("prefect worker")[4]}
    worker = kinds(MOST, "Deployment")["worker"]["spec"]["template"]["spec"]["containers"][0]
    assert words_of("prefect worker")[-1] in json.dumps(worker)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.sub(r"\W", " ", words_of("pip install")[-1]).split()[-1] in extras


@claim(
    "docs/kubernetes.md",
    "PREFECT_API_URL=http://127.0.0.1:4200/api prefect deployment run release/flights --param request=",
)
def test_a_run_is_started_with_parameters_that_the_flow_takes() -> None:
    words = words_of("PREFECT_API_URL")
    flow, name = words[words.index("run") + 1].split("/")
    found = release_of(load_product(ROOT / "specs" / f"{name}.yaml"))
    assert found["entrypoint"].endswith(f".{flow}")
    key, value = words[-1].split("=", 1)
    assert key in found["parameters"]
    assert ReleaseRequest.model_validate_json(value).product == "flights"


@claim("docs/kubernetes.md", "| user | 65532, not root; no file in it is theirs but the home folder |")
@claim("docs/kubernetes.md", "the model lies in the image at `/opt/seatrial/model`, where this command puts it.")
@claim("docs/kubernetes.md", "`python:3.11-slim` without it |")
def test_the_image_is_as_the_page_says() -> None:
    from deployments.targets.kubernetes.manifests import BAKED

    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "\nUSER 65532:65532\n" in dockerfile
    assert re.search(r"^ARG BASE=(?:\S+/)?python:3\.11-slim$", dockerfile, flags=re.MULTILINE)
    assert BAKED == "/opt/seatrial/model"
    targets = re.findall(r"^FROM .* AS (\w+)$", dockerfile, flags=re.MULTILINE | re.IGNORECASE)
    assert words_of("docker build -t seatrial-server")[5] in targets


@claim(
    "docs/kubernetes.md",
    "`rollout.key` is refused), and a preview of a version that is not there is answered by the split.",
)
@claim("docs/kubernetes.md", "A/B and shadow are refused, and so is `autoscaling` with a strategy that splits:")
@pytest.mark.parametrize(
    ("gateway", "more"),
    [
        (True, {"key": {"header": "x-user"}}),
        (False, {"strategy": "ab"}),
        (False, {"strategy": "shadow"}),
        (False, {"strategy": "canary", "autoscaling": True}),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(gateway: bool, more: dict[str, Any], tmp_path: Path) -> None:
    from tests.unit.tasks.test_spec_file import changed, complaint

    kubernetes: dict[str, Any] = {"image": "seatrial:1"} | ({"gateway": {"name": "public"}} if gateway else {})
    if more.pop("autoscaling", False):
        kubernetes["autoscaling"] = {"most": 4}
    assert complaint(tmp_path, changed("rollout", {"target": "kubernetes", "kubernetes": kubernetes} | more))
