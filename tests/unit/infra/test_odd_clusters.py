"""The chart with odd names, and in clusters that are strict, closed or unlike others."""

import json
import re
from typing import Any

import kubernetes_validate
import pytest

from tests.unit.infra.helm import LEAST, MOST, Refused, kinds, objects
from tests.unit.infra.pods import containers, weaknesses

LONG = "a-release-with-quite-a-long-name-that-is-allowed-by-h"
A_SERVICES_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
CERTIFICATES = {"certificates": {"configMap": "authorities", "key": "all.pem"}}


def pods(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each["spec"]["template"]["spec"] for name, each in kinds(values, "Deployment").items()}


def pod_of_jobs(values: dict[str, Any]) -> dict[str, Any]:
    template = json.loads(kinds(values, "ConfigMap")["jobs"]["data"]["base-job-template.json"])
    found: dict[str, Any] = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("name", ["123", "true", "1e3", "with.dots", "seatrial.v2", LONG, f"seatrial{LONG[8:]}"])
def test_every_name_that_helm_allows_a_release_makes_objects_that_the_api_takes(name: str) -> None:
    for each in objects(LEAST, name):
        kubernetes_validate.validate(each, "1.36", strict=True)
        assert A_SERVICES_NAME.fullmatch(each["metadata"]["name"])


def test_two_releases_whose_long_names_begin_alike_have_no_object_in_common() -> None:
    one, other = (
        {(each["kind"], each["metadata"]["name"]) for each in objects(LEAST, LONG[:-1] + end)} for end in "ab"
    )
    assert one.isdisjoint(other)


def test_names_that_look_like_numbers_stay_names() -> None:
    numbers = {"gateway": {"name": "7"}, "imagePullSecrets": ["9"]}
    for each in objects(MOST | numbers, namespace="2026"):
        if each["kind"] == "HTTPRoute":
            assert each["spec"]["parentRefs"] == [{"name": "7", "namespace": "2026"}]
        elif each["kind"] != "ServiceMonitor":
            kubernetes_validate.validate(each, "1.36", strict=True)
    assert pod_of_jobs(MOST | numbers)["imagePullSecrets"] == [{"name": "9"}]


def test_where_the_cluster_assigns_users_no_pod_asks_for_one() -> None:
    values = MOST | {"user": None}
    for pod in (*pods(values).values(), pod_of_jobs(values)):
        assert set(pod["securityContext"]) == {"runAsNonRoot", "fsGroupChangePolicy", "seccompProfile"}
    assert {each for pod in pods(values).values() for each in weaknesses(pod)} == {"user"}


def test_a_user_of_a_large_range_is_written_as_a_number() -> None:
    for pod in (pods(LEAST | {"user": 1000650000})["worker"], pods(LEAST | {"user": 1000650000})["prefect"]):
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 1000650000


def test_every_program_trusts_the_certificates_that_are_given() -> None:
    made = [(pod, container) for pod in pods(MOST | CERTIFICATES).values() for container in containers(pod)]
    of_jobs = pod_of_jobs(MOST | CERTIFICATES)
    made.append((of_jobs, of_jobs["containers"][0]))
    for pod, container in made:
        named = {each["name"] for each in container["env"] if each.get("value") == "/etc/certificates/all.pem"}
        assert named == {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE"}
        assert {"name": "certificates", "mountPath": "/etc/certificates", "readOnly": True} in container["volumeMounts"]
        assert {"name": "certificates", "configMap": {"name": "authorities"}} in pod["volumes"]


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_a_server_may_have_variables_of_its_own_such_as_a_proxy(server: str) -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
    made = pods(LEAST | {server: {"server": {"env": [proxy]}}})
    assert {name for name, pod in made.items() if proxy in pod["containers"][0]["env"]} == {server}


def test_a_variable_that_is_set_again_stands_once_and_the_users_word_is_the_last() -> None:
    ours = {
        name: [{"name": name, "value": "mine"}]
        for name in ("PREFECT_API_URL", "MLFLOW_BACKEND_STORE_URI", "PREFECT_UI_API_URL", "SOURCE", "POOL")
    }
    values = MOST | {
        "env": ours["PREFECT_API_URL"] + ours["SOURCE"] + ours["POOL"],
        "settings": {"SEATRIAL_JOURNAL_URL": "kubernetes://elsewhere"},
        "mlflow": {"server": {"env": ours["MLFLOW_BACKEND_STORE_URI"]}},
        "prefect": {"server": {"env": ours["PREFECT_UI_API_URL"]}},
    }
    lists = [container["env"] for pod in pods(values).values() for container in containers(pod)]
    lists.append(pod_of_jobs(values)["containers"][0]["env"])
    for variables in lists:
        assert len({each["name"] for each in variables}) == len(variables)
    said = {each["name"]: each["value"] for variables in lists for each in variables if each["name"] in ours}
    assert said == dict.fromkeys(ours, "mine")
    journals = [each for variables in lists for each in variables if each["name"] == "SEATRIAL_JOURNAL_URL"]
    assert journals == [{"name": "SEATRIAL_JOURNAL_URL", "value": "kubernetes://elsewhere"}] * 5


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_servers_can_listen_where_there_is_no_ipv4(server: str) -> None:
    command = pods(LEAST | {"listen": "::"})[server]["containers"][0]["command"]
    assert command[command.index("--host") + 1] == "::"


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"prefect": {"url": "https://ann:secret@prefect.example/api"}}, "prefect.url"),
        ({"mlflow": {"url": "https://ann:secret@mlflow.example"}}, "mlflow.url"),
        ({"objectStorage": {"endpoint": "https://ann:secret@store.example"}}, "objectStorage.endpoint"),
        ({"settings": {"SEATRIAL_JOURNAL_URL": "postgresql://ann:secret@db/j"}}, "settings.SEATRIAL_JOURNAL_URL"),
        ({"env": [{"name": "SOURCE", "value": "mysql://ann:secret@db/s"}]}, "SOURCE"),
        ({"mlflow": {"server": {"env": [{"name": "PROXY", "value": "http://ann:secret@proxy"}]}}}, "PROXY"),
    ],
)
def test_an_address_with_a_password_is_refused_where_everybody_could_read_it(
    values: dict[str, Any], where: str
) -> None:
    with pytest.raises(Refused, match=re.escape(f"{where} holds a password")) as told:
        objects(LEAST | values)
    assert "secret@" not in str(told.value)


def test_a_cloud_knows_the_accounts_that_reach_its_storage_and_no_others() -> None:
    annotations = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}
    accounts = kinds(LEAST | {"serviceAccounts": {"annotations": annotations}}, "ServiceAccount")
    known = {name: each["metadata"].get("annotations") for name, each in accounts.items()}
    assert known == {"plain": annotations, "runner": annotations, "worker": None}


def test_the_route_of_feedback_can_be_kept_to_a_host_and_a_listener() -> None:
    gateway = {"name": "public", "listener": "https", "hostnames": ["ml.example"]}
    route = kinds(LEAST | {"gateway": gateway}, "HTTPRoute")["control"]["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "ml", "sectionName": "https"}]
    assert route["hostnames"] == ["ml.example"]


def test_models_that_are_kept_inside_still_find_a_dns_that_is_not_root() -> None:
    ports = kinds(MOST, "NetworkPolicy")["models"]["spec"]["egress"][0]["ports"]
    assert {(each["protocol"], each["port"]) for each in ports} == {
        (protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)
    }


def test_an_image_of_any_registry_is_named_by_its_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    image = {"repository": "[fd00::5]:5000/ml/seatrial", "digest": digest, "tag": "1"}
    for pod in pods(LEAST | {"image": image}).values():
        assert {each["image"] for each in containers(pod)} == {f"[fd00::5]:5000/ml/seatrial@{digest}"}
