"""What `helm template` makes of the chart, by Helm's own library.

The library is Go's and is kept out of the tests' process: this file is also the program that loads it.
"""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "infra" / "chart"
NAMESPACE = "ml"
# As little as the chart asks for.
LEAST: dict[str, Any] = {"postgresql": {"journal": {"secret": "database"}}}
# Still less: the journal is in the cluster, and users tell nothing.
BARE: dict[str, Any] = {"control": {"enabled": False}}
# All that it can do.
MOST: dict[str, Any] = {
    "image": {"digest": f"sha256:{'ab' * 32}"},
    "imagePullSecrets": ["pull"],
    "specs": {"flights.yaml": "product: flights\n"},
    "settings": {"SEATRIAL_ALLOWED_PACKAGES": '["sklearn"]'},
    "env": [{"name": "SOURCE", "valueFrom": {"secretKeyRef": {"name": "source", "key": "url"}}}],
    "postgresql": {name: {"secret": "database", "key": name} for name in ("journal", "mlflow", "prefect")},
    "objectStorage": {
        "artifacts": "s3://bucket/mlflow", "secret": "store", "endpoint": "https://store.example", "region": "eu-1"
    },
    "prefect": {"apiKey": {"secret": "prefect"}, "server": {"replicas": 2}},
    "mlflow": {"server": {"replicas": 2, "hosts": ["mlflow.example"]}},
    "control": {"feedbackKeys": "senders"},
    "jobs": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "batch", "operator": "Exists"}]},
    "gateway": {"name": "public", "namespace": "gateways"},
    "networkPolicy": {
        "callers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}],
        "modelEgress": {"restricted": True, "rules": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]},
    },
    "monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}, "dashboard": {"enabled": True}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "tools", "operator": "Exists"}],
}  # fmt: skip
# Prefect and MLflow of one's own, and nothing that is not needed.
ELSEWHERE: dict[str, Any] = {
    "prefect": {"url": "https://prefect.example/api"},
    "mlflow": {"url": "https://mlflow.example"},
    "control": {"enabled": False},
    "handingOver": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "rbac": {"create": False},
}


class Refused(Exception):
    """Helm does not take the values."""


def objects(values: dict[str, Any], name: str = "demo", namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """What would be applied. Raises `Refused` with Helm's words."""
    text = _template(json.dumps({"values": values, "name": name, "namespace": namespace}))
    return [found for found in yaml.safe_load_all(text) if found]


def kinds(values: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of one kind by name, without the name of the release."""
    found = (each for each in objects(values) if each["kind"] == kind)
    return {each["metadata"]["name"].removeprefix("demo-seatrial-"): each for each in found}


def findings(values: dict[str, Any]) -> list[str]:
    """What `helm lint --strict` has to say beyond advice."""
    told: list[str] = json.loads(_run(json.dumps({"values": values, "lint": True})))
    return told


@lru_cache
def _template(request: str) -> str:
    return _run(request)


def _run(request: str) -> str:
    command = [sys.executable, str(Path(__file__))]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return done.stdout


def _main() -> None:
    import helm_python as helm

    request = json.load(sys.stdin)
    if request.get("lint"):
        found = helm.lint(CHART, request["values"], strict=True)["messages"]
        sys.stdout.write(json.dumps([f"{each['path']}: {each['error']}" for each in found if each["severity"] > 1]))
        return
    try:
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(request["values"])
            made = chart.render(request["values"], name=request["name"], namespace=request["namespace"])
    except helm.HelmError as error:
        sys.exit(str(error))
    sys.stdout.write("\n---\n".join(text for path, text in sorted(made.items()) if path.endswith(".yaml")))


if __name__ == "__main__":
    _main()
