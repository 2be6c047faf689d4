"""What pods show a registry that asks for a password."""

from pathlib import Path
from typing import Any

import pytest

from deployments.caller_authentication import GATEWAY_VARIABLE, KEY, RUN_VARIABLE, Proofs
from deployments.key_files import key
from deployments.spec import KubernetesSection
from deployments.targets.kubernetes.manifests import Served, deployment
from deployments.targets.protocol import Launch

SECTION = KubernetesSection(image="seatrial:1")
NAMES = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


def pod(tracking: str | None, login: str | None) -> dict[str, Any]:
    launch = Launch("flights", 1, Path("/models"), replicas=1)
    found: dict[str, Any] = deployment(Served(launch, SECTION, tracking, login))["spec"]["template"]["spec"]
    return found


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in container["env"]}


def test_only_the_container_that_fetches_the_model_knows_the_password_and_by_reference() -> None:
    made = pod("http://mlflow.ml.svc:5000", "seatrial-keys")
    fetcher, server = variables(made["initContainers"][0]), variables(made["containers"][0])
    assert fetcher["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": "seatrial-keys",
        "key": "prefect",
    }
    assert fetcher["MLFLOW_TRACKING_USERNAME"]["value"] == "seatrial"
    assert not NAMES & set(server)


@pytest.mark.parametrize(("tracking", "login"), [("https://mlflow.example", None), (None, "seatrial-keys")])
def test_a_registry_that_asks_for_none_or_is_told_by_the_spec_gets_none(
    tracking: str | None, login: str | None
) -> None:
    made = pod(tracking, login)
    for container in (*made["initContainers"], *made["containers"]):
        assert not NAMES & set(variables(container))


@pytest.mark.parametrize("named", ["demo-seatrial-keys", None])
def test_a_server_is_shown_the_key_of_request_ids_and_nothing_else_of_the_secret(named: str | None) -> None:
    launch = Launch("flights", 1, Path("/models"), replicas=1)
    section = SECTION.model_copy(update={"requests_secret": named})
    made = deployment(Served(launch, section, None))["spec"]["template"]["spec"]
    secrets = [each["secret"] for each in made["volumes"] if "secret" in each]
    items = [{"key": "requests", "path": "requests"}]
    wanted = {"secretName": named, "optional": True, "defaultMode": 0o440, "items": items}
    assert secrets == ([wanted] if named else [])
    assert ("SEATRIAL_REQUESTS_KEY" in variables(made["containers"][0])) is bool(named)
    assert all(mount["name"] != "requests-key" for mount in made["initContainers"][0]["volumeMounts"])


def test_a_server_is_told_of_proofs_whatever_the_users_environment_says_and_the_fetcher_is_not(tmp_path: Path) -> None:
    key(tmp_path, KEY)
    proofs = Proofs(tmp_path).told_to_pods("flights", 1)
    launch = Launch("flights", 1, Path("/models"), replicas=1)
    section = SECTION.model_copy(update={"environment": {RUN_VARIABLE: "of mine", "MINE": "1"}})
    made = deployment(Served(launch, section, None, proofs=proofs))["spec"]["template"]["spec"]
    [server], [fetcher] = made["containers"], made["initContainers"]
    names = [each["name"] for each in server["env"]]
    assert len(names) == len(set(names))
    assert {name: variables(server)[name]["value"] for name in (*proofs, "MINE")} == proofs | {"MINE": "1"}
    assert GATEWAY_VARIABLE not in variables(fetcher)
