"""The chart: what Helm makes of it is what the API takes, and nothing in it has more rights than it needs."""

import copy
import re
from base64 import b64decode
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from deployments.serving.prometheus_metrics import ServerMetrics, predictions_as_text, process_as_text
from deployments.web_login.allowed_hosts import Names
from tests.architecture.test_documentation import DOCS, rows
from tests.unit.infra.helm import (
    BARE,
    CHART,
    ELSEWHERE,
    LEAST,
    MOST,
    ROOT,
    Refused,
    findings,
    kinds,
    objects,
)
from tests.unit.infra.pods import containers, shown, weaknesses

WAYS = pytest.mark.parametrize("values", [BARE, LEAST, MOST, ELSEWHERE], ids=["bare", "least", "most", "elsewhere"])
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OTHERS = {"HTTPRoute", "ServiceMonitor"}  # kinds that do not come with Kubernetes
OLDEST, NEWEST = "1.27", "1.36"


def pods(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each["spec"]["template"] for name, each in kinds(values, "Deployment").items()}


def with_value(path: tuple[str, ...], value: object) -> dict[str, Any]:
    values = inner = copy.deepcopy(LEAST)
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return values


def sections(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the sections whose fields are the chart's; those with names of the user's own are not."""
    yield path
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in {"requests", "limits", "labels"}:
            yield from sections(value, (*path, name))


@WAYS
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_one_that_the_api_takes_without_a_field_that_it_does_not_know(
    values: dict[str, Any], version: str
) -> None:
    made = [each for each in objects(values) if each["kind"] not in OTHERS]
    assert made
    for each in made:
        kubernetes_validate.validate(each, version, strict=True)


@WAYS
def test_helm_finds_nothing_to_warn_of(values: dict[str, Any]) -> None:
    assert findings(values) == []


@WAYS
def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    for name, pod in pods(values).items():
        assert list(weaknesses(pod["spec"])) == [], name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hostNetwork", True),
        ("securityContext", {}),
        ("automountServiceAccountToken", None),
        ("volumes", [{"name": "host", "hostPath": {"path": "/"}}]),
        ("containers", [{"name": "c", "securityContext": {"privileged": True}}]),
    ],
)
def test_a_pod_that_is_not_restricted_is_told_from_one_that_is(field: str, value: object) -> None:
    spec = copy.deepcopy(pods(LEAST)["control"]["spec"]) | {field: value}
    if value is None:
        del spec[field]
    assert list(weaknesses(spec))


@WAYS
def test_only_those_who_ask_the_api_have_a_token(values: dict[str, Any]) -> None:
    with_token = {name for name, pod in pods(values).items() if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == ({"worker", "handing-over"} if values is BARE else {"worker"})
    accounts = {name: pods(values)[name]["spec"]["serviceAccountName"] for name in with_token}
    assert accounts == {name: f"demo-seatrial-{name}" for name in with_token}
    assert all(not each["automountServiceAccountToken"] for each in kinds(values, "ServiceAccount").values())


@WAYS
def test_every_container_is_probed_and_servers_at_ports_that_they_have(values: dict[str, Any]) -> None:
    for pod in pods(values).values():
        for container in pod["spec"]["containers"]:
            if "ports" not in container:
                assert container["livenessProbe"]["exec"]
                continue
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in ports


@WAYS
def test_every_service_and_every_budget_finds_its_pods(values: dict[str, Any]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(values).values()]
    for kind, path in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",))):
        for name, each in kinds(values, kind).items():
            selector = each["spec"]["selector"]
            for step in path:
                selector = selector[step]
            assert sum(selector.items() <= found.items() for found in labels) == 1, name


@WAYS
def test_what_a_container_mounts_is_a_volume_of_its_pod_and_home_and_tmp_can_be_written(
    values: dict[str, Any],
) -> None:
    for pod in pods(values).values():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in containers(pod["spec"]):
            mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounted.values()) <= volumes
            assert {"/home/seatrial", "/tmp"} <= set(mounted)  # noqa: S108 - of the pod


def rights(values: dict[str, Any]) -> dict[tuple[str, str, str], set[str]]:
    """By role, group and resource: the verbs."""
    return {
        (name, group, resource): set(rule["verbs"])
        for name, role in kinds(values, "Role").items()
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_rights_are_those_of_the_documentation_one_by_one() -> None:
    told = {
        (role, "" if group == "core" else group, resource): set(verbs.split(", "))
        for role, group, resource, verbs in (
            [cell.strip("`") for cell in cells[:4]] for cells in rows(DOCS / "kubernetes.md", "role")
        )
    }
    assert rights(BARE) == told


@WAYS
def test_no_right_is_a_wildcard_nor_for_the_whole_cluster_nor_for_secrets(values: dict[str, Any]) -> None:
    for (_, group, resource), verbs in rights(values).items():
        assert "*" not in {group, resource, *verbs}
        assert resource not in {"secrets", "pods/exec", "roles", "rolebindings", "serviceaccounts"}
    made = {each["kind"] for each in objects(values)}
    assert made.isdisjoint({"ClusterRole", "ClusterRoleBinding"})


def test_each_role_is_bound_to_the_account_of_its_pods_alone() -> None:
    bound = {
        name: (each["roleRef"]["name"], [subject["name"] for subject in each["subjects"]])
        for name, each in kinds(BARE, "RoleBinding").items()
    }
    assert bound == {
        "handing-over": ("demo-seatrial-handing-over", ["demo-seatrial-handing-over"]),
        "worker": ("demo-seatrial-worker", ["demo-seatrial-worker"]),
        "runner": ("demo-seatrial-runner", ["demo-seatrial-runner"]),
    }


@WAYS
def test_one_secret_is_drawn_and_every_password_is_a_reference(values: dict[str, Any]) -> None:
    assert set(kinds(values, "Secret")) == {"keys"}
    assert kinds(values | {"keys": {"secret": "mine"}}, "Secret") == {}
    for pod in pods(values).values():
        for container in containers(pod["spec"]):
            for variable in container["env"]:
                if re.search("_KEY(_ID)?$|_URL$|_URI$|PASSWORD|AUTH", variable["name"]) and "valueFrom" not in variable:
                    assert re.match(
                        "(https?|sqlite[a-z+]*|kubernetes)://[^@]+$|/api$|key$|auth$|demo", variable["value"]
                    )


@pytest.mark.parametrize("path", list(sections(VALUES)), ids=lambda path: ".".join(path) or "top")
def test_a_value_that_nobody_knows_is_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="nobody_knows"):
        objects(with_value((*path, "nobody_knows"), 1))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("image", "digest"), "latest", "'latest' does not match"),
        (("image", "pullPolicy"), "Sometimes", "must be one of 'Always'"),
        (("control", "replicas"), 0, "minimum: got 0, want 1"),
        (("settings",), {"lower": "x"}, "'lower' does not match"),
        (("settings",), {"SEATRIAL_WARM": False}, "got boolean, want string"),
        (("specs",), {"../flights.yaml": "x"}, "does not match"),
        (("env",), [{"value": "nameless"}], "missing property 'name'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(path: tuple[str, ...], value: object, words: str) -> None:
    with pytest.raises(Refused, match=words):
        objects(with_value(path, value))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "set postgresql.journal.secret, or control.enabled=false"),
        (LEAST | {"prefect": {"server": {"replicas": 2}}}, "set postgresql.prefect.secret"),
        (LEAST | {"mlflow": {"server": {"replicas": 2}}}, "objectStorage.artifacts, or mlflow.server.replicas=1"),
    ],
)
def test_what_would_lose_data_is_refused_with_the_way_out(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        objects(values)


def test_with_servers_of_ones_own_none_is_started_and_theirs_are_asked() -> None:
    assert set(kinds(ELSEWHERE, "Deployment")) == {"worker"}
    told = {each["name"]: each.get("value") for each in pods(ELSEWHERE)["worker"]["spec"]["containers"][0]["env"]}
    assert told["PREFECT_API_URL"] == "https://prefect.example/api"
    assert told["SEATRIAL_TRACKING_URI"] == "https://mlflow.example"


def variables_of(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in pod["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize(("server", "asked_by"), [("mlflow", "SEATRIAL_TRACKING_URI"), ("prefect", "PREFECT_API_URL")])
def test_a_server_takes_the_name_by_which_the_others_ask_for_it(server: str, asked_by: str) -> None:
    made = pods(MOST | {"prefect": {"server": {"hosts": ["prefect.example"], "replicas": 2}}})
    arguments = made[server]["spec"]["containers"][0]["args"]
    names = Names.of(value for name, value in pairwise(arguments) if name == "--name")
    asked = urlsplit(variables_of(made["worker"])[asked_by]["value"]).netloc
    assert names.has(asked)
    assert names.has(f"{server}.example")
    assert names.has("localhost:4711"), "kubectl port-forward"
    assert not names.has("evil.example:4711")


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_whoever_speaks_to_a_server_of_the_chart_shows_the_password_that_it_has(values: dict[str, Any]) -> None:
    secret = kinds(values, "Secret")["keys"]
    held = {name: b64decode(value).decode() for name, value in secret["data"].items()}
    assert held["auth"] == f"seatrial:{held['prefect']}"
    assert len(set(held.values())) == len(held) == 5
    assert min(map(len, held.values())) >= 43
    for name in ("worker", "handing-over"):
        told = variables_of(pods(values)[name])
        for variable, entry in {"PREFECT_API_AUTH_STRING": "auth", "MLFLOW_TRACKING_PASSWORD": "prefect"}.items():
            assert told[variable]["valueFrom"]["secretKeyRef"] == {"name": "demo-seatrial-keys", "key": entry}


@WAYS
def test_a_pod_is_shown_the_keys_that_it_needs_as_files_and_no_other(values: dict[str, Any]) -> None:
    needed = {"prefect": {"prefect", "pages"}, "mlflow": {"prefect", "pages"}, "control": {"requests"}}
    for name, pod in pods(values).items():
        assert shown(pod["spec"]) == needed.get(name, set()), name
        if name in needed:
            told = variables_of(pod)["SEATRIAL_KEYS"]["value"]
            assert told in {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}


def test_the_keys_of_senders_are_for_the_control_service_alone() -> None:
    made = pods(MOST)
    assert [name for name, pod in made.items() if "senders" in yaml.safe_dump(pod)] == ["control"]
    volume = {each["name"]: each for each in made["control"]["spec"]["volumes"]}["keys"]
    assert volume["projected"]["sources"][0] == {"secret": {"name": "senders"}}


def test_a_server_of_ones_own_is_not_shown_the_password() -> None:
    for pod in pods(ELSEWHERE).values():
        assert not {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"} & set(variables_of(pod))


def admitted(values: dict[str, Any], labels: dict[str, str]) -> set[int] | None:
    """Ports at which somebody may speak to a pod with these labels; None: nobody restricts it."""
    chosen = [each["spec"] for each in kinds(values, "NetworkPolicy").values() if _is_chosen(each["spec"], labels)]
    if not chosen:
        return None
    return {port["port"] for spec in chosen for rule in spec.get("ingress", []) for port in rule["ports"]}


def _is_chosen(spec: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = spec["podSelector"]
    there = {rule["key"] for rule in wanted.get("matchExpressions", [])}
    return wanted.get("matchLabels", {}).items() <= labels.items() and there <= labels.keys()


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_pods_can_be_spoken_to_at_their_ports_and_at_no_other(values: dict[str, Any]) -> None:
    open_at = {name: admitted(values, pod["metadata"]["labels"]) for name, pod in pods(values).items()}
    assert open_at == {"control": {8080}, "prefect": {4200}, "mlflow": {5000}, "worker": set(), "handing-over": set()}
    assert admitted(values, {"seatrial.dev/product": "flights", "seatrial.dev/version": "1"}) == {8080, 8081, 8082}
    assert admitted(values, {"seatrial.dev/role": "run"}) == set()
    assert admitted(values, {"app": "somebody-elses"}) is None


def test_model_servers_are_kept_inside_only_where_that_is_wished() -> None:
    assert kinds(LEAST, "NetworkPolicy")["models"]["spec"]["policyTypes"] == ["Ingress"]
    kept = kinds(MOST, "NetworkPolicy")["models"]["spec"]
    assert kept["policyTypes"] == ["Ingress", "Egress"]
    assert [rule.get("ports", [{}])[0].get("port") for rule in kept["egress"]] == [53, 5000, None]


def test_feedback_has_a_route_where_there_is_a_gateway() -> None:
    assert kinds(LEAST, "HTTPRoute") == {}
    route = kinds(MOST, "HTTPRoute")["control"]["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
    assert route["rules"][0]["backendRefs"] == [{"name": "demo-seatrial-control", "port": 80}]


def test_the_dashboard_asks_only_for_what_the_servers_count() -> None:
    server = ServerMetrics()
    server.keyless.add(200, 0.1)
    text = server.as_text() + predictions_as_text({"0": 1}) + process_as_text("flights", "1", "", 0.1)
    counted = set(re.findall(r"^([a-z_]+)", text, flags=re.MULTILINE))
    asked = set(re.findall(r"(?:seatrial_server|process)_[a-z_]+", (CHART / "files" / "dashboard.json").read_text()))
    assert asked
    assert asked <= counted


def test_the_chart_has_the_version_of_the_project() -> None:
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert project is not None
    assert (chart["version"], chart["appVersion"]) == (project[1], project[1])


def test_every_section_of_the_values_stands_under_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for name in VALUES:
        above = lines[next(place for place, line in enumerate(lines) if line.startswith(f"{name}:")) - 1]
        assert above.startswith("#"), name


def test_names_stay_within_what_the_api_takes_however_long_the_release_is_called() -> None:
    names = [each["metadata"]["name"] for each in objects(LEAST, "a-release-with-quite-a-long-name-that-is-allowed-x")]
    assert max(map(len, names)) <= 63
