"""Servers are told which files were judged, wherever they run."""

from pathlib import Path

import pytest

from deployments.model_manifest import BYTES_VARIABLE, DIGEST_VARIABLE
from deployments.serving.__main__ import _parse
from deployments.settings import Settings
from deployments.spec import KubernetesSection
from deployments.supervision import Supervisor
from deployments.targets.kubernetes.manifests import Served, deployment
from deployments.targets.process import ProcessTarget
from deployments.targets.protocol import Launch

DIGEST = "ab" * 32
LAUNCH = Launch("flights", 3, Path("model"), 1, ("own.Step",), digest=DIGEST, size=1234)


def environments(launch: Launch, **section: object) -> list[dict[str, str]]:
    """Of the init container and of the server."""
    served = Served(launch, KubernetesSection.model_validate({"image": "seatrial:1", **section}), "http://mlflow")
    pod = deployment(served)["spec"]["template"]["spec"]
    containers = (*pod["initContainers"], *pod["containers"])
    return [{each["name"]: each.get("value", "") for each in container["env"]} for container in containers]


def test_a_deployment_tells_init_container_and_server_whatever_the_spec_says() -> None:
    for environment in environments(LAUNCH, environment={DIGEST_VARIABLE: "cd" * 32, "OTHER": "1"}):
        assert environment[DIGEST_VARIABLE] == DIGEST
        assert environment[BYTES_VARIABLE] == "1234"
        assert environment["OTHER"] == "1"


def test_of_a_version_whose_manifest_nobody_knows_they_are_told_nothing() -> None:
    for environment in environments(Launch("flights", 3, Path("model"), 1)):
        assert DIGEST_VARIABLE not in environment


def test_a_server_of_this_machine_reads_it_on_its_command_line(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, project=tmp_path)
    target = ProcessTarget(Supervisor.of(settings), settings)
    command = target._program("model-flights-v3-0", LAUNCH).command
    options = _parse(command[command.index("deployments.serving") + 1 :])
    assert (options.digest, options.trust) == (DIGEST, ["own.Step"])


def test_a_server_in_a_pod_reads_it_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIGEST_VARIABLE, DIGEST)
    options = _parse(["--model", "m", "--product", "p", "--version", "1", "--port", "1"])
    assert options.digest == DIGEST
