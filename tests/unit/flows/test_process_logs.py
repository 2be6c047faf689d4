"""What `seatrial logs` says of pods of a cluster, and `status` of a platform that nobody needs here."""

from pathlib import Path
from typing import Any

import pytest

from deployments import wiring
from deployments.errors import NotFound
from deployments.settings import Settings
from deployments.spec import KubernetesSection, RolloutSection, TargetKind
from flows.entrypoints.cli import process_logs
from flows.entrypoints.cli.status import print_status
from tests.fakes.kubernetes import FakeKubernetes, PodScript

POD = "model-churn-risk-v2-abc-def"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    section = RolloutSection(target=TargetKind.KUBERNETES, kubernetes=KubernetesSection(image="seatrial:1"))
    monkeypatch.setattr(wiring, "newest_section", lambda product: section if product == "churn-risk" else None)
    monkeypatch.setattr(process_logs, "current", lambda: Settings(home=tmp_path))
    with FakeKubernetes() as made:
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path / "kubeconfig")))
        yield made


def test_the_log_of_a_pod_is_read_through_the_api_server(api: FakeKubernetes) -> None:
    api.script(POD, PodScript(log="one\ntwo\nthree"))
    api.put({"kind": "Pod", "metadata": {"name": POD}, "spec": {"containers": [{"name": "server", "image": "i"}]}})
    assert process_logs.last_lines(POD, 50) == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["model-churn-risk-v2-gone", "model-other-v2-abc", "gateway"])
def test_a_log_that_is_nowhere_is_told_with_what_there_is(api: FakeKubernetes, name: str) -> None:
    with pytest.raises(NotFound, match=rf"no log of '{name}'.*kubectl describe pod"):
        process_logs.last_lines(name, 50)


def report(target: str, **under_way: Any) -> dict[str, Any]:
    facts = {
        "target": target,
        "champion": None,
        "versions": [],
        "amiss": [],
        "registry": [],
        "traffic": {},
        "servers": {},
    }
    return {
        "platform": {"gateway": None, "prefect": None, "mlflow": None},
        "products": {"flights": facts},
        "rollouts": [under_way] if under_way else [],
    }


def test_a_platform_that_no_product_needs_is_not_told_to_be_down(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(report("kubernetes"))
    said = capsys.readouterr().out
    assert "not up" not in said
    assert "run in a cluster" in said
    print_status(report("local"))
    assert capsys.readouterr().out.count("not up") == 3
