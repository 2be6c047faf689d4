"""`python -m flows.entrypoints.runner.deploy_flows`: Prefect knows the flows, and a release for each product.

Releases are made from the specs and carry a tag of this platform: what has it and no spec any more is taken away, and
nothing else is touched. The release of a spec that cannot be read stays as it was.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

import flows
from deployments.atomic_files import write_atomically
from deployments.durations import format_duration
from deployments.errors import SeatrialError
from deployments.local_platform.prefect_address import prefect_rest
from deployments.local_platform.prefect_deployments import flows_of, products_in
from deployments.local_platform.work_pool import WORK_POOL
from deployments.platform_identity import id_of, this_place
from deployments.settings import Settings, current
from flows.entrypoints.program_log import say
from tasks.product_spec import ProductSpec, ScheduleSection
from tasks.spec_file import find_spec, load_product

RELEASE: Final = "flows.release.release"


def platform_tag(settings: Settings) -> str:
    """What is on everything that this platform deployed, and on nothing else."""
    return f"deployed by {id_of(this_place(settings))}"


def release_of(spec: ProductSpec) -> dict[str, Any]:
    """A product's release, as an entry of prefect.yaml."""
    return {
        "name": spec.product,
        "description": spec.description or f"Data → validation → training → gate → rollout of {spec.product}.",
        "entrypoint": RELEASE,
        "tags": ["seatrial", spec.product],
        "parameters": {"request": {"product": spec.product}},
        # A dead worker's pipe must not kill a running flow.
        "work_pool": {"name": WORK_POOL, "work_queue_name": "default", "job_variables": {"stream_output": False}},
        "schedules": [schedule_of(spec.product, spec.schedule)] if spec.schedule else [],
    }


def schedule_of(product: str, schedule: ScheduleSection) -> dict[str, Any]:
    """As prefect.yaml has it."""
    when: dict[str, Any] = (
        {"cron": schedule.cron} if schedule.every is None else {"interval": int(schedule.every.total_seconds())}
    )
    window = {"window": format_duration(schedule.window)} if schedule.window else {}
    return when | {
        "timezone": schedule.timezone,
        "slug": "spec",
        "active": schedule.active,
        "parameters": {"request": {"product": product} | window},
    }


def document_of(settings: Settings) -> tuple[dict[str, Any], frozenset[str]]:
    """All that is to be deployed, as a prefect.yaml; and the products whose specs cannot be read, which are said."""
    document, unread = flows_of(settings), set()
    products = products_in(settings.specs_folder)
    for name in products:
        try:
            spec = load_product(find_spec(name, settings.specs_folder))
        except SeatrialError as error:
            unread.add(name)
            say(f"the release of {name} stays as it was: {error}")
            continue
        if spec.product != name:
            say(f"{name} is not found by its name: the spec of {spec.product} lies in {name}.yaml")
        document["deployments"].append(release_of(spec))
    for each in document["deployments"]:
        each["tags"] = [*each.get("tags", []), platform_tag(settings)]
        each["version"] = _digest(each, products)
    return document, frozenset(unread)


def _digest(entry: Mapping[str, Any], products: Sequence[str]) -> str:
    """Changes with what is deployed, and with the form that is drawn for it."""
    digest = hashlib.sha256(json.dumps([entry, products], default=str).encode())
    digest.update((Path(flows.__file__).parent / "parameters.py").read_bytes())
    digest.update(version("prefect").encode())
    return digest.hexdigest()[:16]


def deploy(settings: Settings, *, only_changed: bool) -> int:
    """Deploys at the Prefect of PREFECT_API_URL what is there in another version, or all; the exit code."""
    document, unread = document_of(settings)
    prefect, tag = prefect_rest(settings), platform_tag(settings)
    there = {each.name: each for each in prefect.deployments(tag)}
    wanted = {each["name"] for each in document["deployments"]} | unread
    if only_changed:
        document["deployments"] = [
            each
            for each in document["deployments"]
            if each["name"] not in there or there[each["name"]].version != each["version"]
        ]
    if document["deployments"] and (code := _deploy(document, settings)):
        return code
    for name in sorted(there.keys() - wanted):
        prefect.delete_deployment(there[name].id)
        say(f"the release of {name} is gone, as its spec is")
    return 0


def _deploy(document: Mapping[str, Any], settings: Settings) -> int:
    place = settings.home.resolve() / "prefect" / "prefect.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(place)]
    return subprocess.run(command, cwd=settings.project, stdin=subprocess.DEVNULL, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """By the settings of this process; 0 once Prefect knows all."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.entrypoints.runner.deploy_flows", description="Tells Prefect of flows and products."
    )
    parser.add_argument("--changed", action="store_true", help="only of what changed since it was told last")
    try:
        return deploy(current(), only_changed=parser.parse_args(arguments).changed)
    except SeatrialError as error:
        say(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
