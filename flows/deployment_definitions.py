"""What Prefect should have: the deployments of prefect.yaml, and a release for each product spec of a folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import yaml

from deployments.errors import BadInput, BadSpec, SeatrialError
from deployments.local_platform.prefect_deployments import spec_files
from deployments.printable import said_by
from tasks.product_spec import ProductSpec
from tasks.schedule_spec import ANCHOR, ScheduleSection
from tasks.spec_file import load_product

RELEASE: Final = "release"
OURS: Final = "seatrial"
_ENTRYPOINT: Final = "flows.release.release"
# What an entry of prefect.yaml may hold for us to bring it to Prefect; with more, `prefect deploy` has to.
_PLAIN: Final = frozenset({"name", "description", "entrypoint", "tags", "parameters", "work_pool", "schedules"})
_STEPS: Final = ("build", "push", "pull")
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Definition:
    """A deployment as it should be: the names of its flow and its own, and its fields as Prefect's API has them."""

    flow: str
    name: str
    fields: Document

    @property
    def address(self) -> str:
        """By which a run is asked for, such as `release/flights`."""
        return f"{self.flow}/{self.name}"


@dataclass(frozen=True, slots=True)
class Definitions:
    """All that should be, in one work pool.

    `broken` are specs that cannot be used, by file, with what is wrong; `left` are names of entries of `file`, a
    prefect.yaml, that use more of Prefect than is understood here: `prefect deploy` is for them.
    """

    pool: str
    wanted: tuple[Definition, ...]
    broken: Mapping[Path, str]
    left: tuple[str, ...]
    file: Path


def product_tag(product: str) -> str:
    """By which a deployment says that it is a product's: who has no such tag is left alone."""
    return f"product:{product}"


def definitions(prefect_file: Path, own: bool, specs: Path) -> Definitions:
    """By a prefect.yaml and the specs in a folder; `own` is false for the file that came with Seatrial.

    Raises `BadInput` for a prefect.yaml that cannot be read.
    """
    document = _read(prefect_file)
    entries: list[Document] = [each for each in document.get("deployments") or [] if isinstance(each, dict)]
    products, broken = _products(specs)
    # Seatrial's file names products of Seatrial's own project.
    named = {name: each for each in entries if (name := _product_of(each)) is not None and (own or name in products)}
    common = [each for each in entries if _product_of(each) is None]
    if not own:
        only = next(iter(products.values()))[0] if len(products) == 1 else None
        common = [_with_product(each, only) for each in common]
    by_hand = {id(each) for each in (*common, *named.values()) if not _is_plain(document, each)}
    pool: Document = next(
        (each["work_pool"] for each in (*common, *entries) if isinstance(each.get("work_pool"), dict)), {}
    )
    wanted = [
        *(_of_entry(each) for each in common if id(each) not in by_hand),
        *(
            _of_product(called, spec, named.get(name, {}).get("work_pool") or pool)
            for name, (called, spec) in products.items()
        ),
    ]
    left = (str(each.get("name")) for each in common if id(each) in by_hand)
    return Definitions(str(pool.get("name", OURS)), tuple(wanted), broken, tuple(left), prefect_file)


def lone_release(called: str, spec: ProductSpec, pool: str) -> Definition:
    """The release of a spec that is none of the folder's, such as one in a folder below: no schedule, no mark."""
    made = _of_product(called, spec, {"name": pool})
    return Definition(made.flow, made.name, {**made.fields, "tags": [OURS], "schedules": []})


def schedules_of(called: str, schedule: ScheduleSection | None) -> list[Document]:
    """A spec's schedule as Prefect has it: at most one. `called` is what a run calls the product."""
    if schedule is None:
        return []
    if schedule.cron is not None:
        when: Document = {"cron": schedule.cron, "timezone": schedule.timezone, "day_or": True}
    else:
        seconds = (schedule.interval or timedelta(0)).total_seconds()
        when = {"interval": seconds, "anchor_date": f"{ANCHOR:%Y-%m-%dT%H:%M:%SZ}", "timezone": "UTC"}
    request = {"product": called} | ({"window": schedule.window} if schedule.window else {})
    parameters = {"request": request} if schedule.window else {}
    return [{"slug": "spec", "active": schedule.active, "schedule": when, "parameters": parameters}]


def _read(file: Path) -> Document:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{file} cannot be read ({said_by(error)}): write it as YAML") from None
    if not isinstance(document, dict):
        raise BadInput(f"{file} is no prefect.yaml: write a mapping with deployments in it")
    return document


def _products(specs: Path) -> tuple[dict[str, tuple[str, ProductSpec]], dict[Path, str]]:
    """By product: what a run calls it (the name of its file), and its spec; and the files that cannot be used."""
    found: dict[str, tuple[str, ProductSpec]] = {}
    broken: dict[Path, str] = {}
    for file in spec_files(specs):
        try:
            spec = load_product(file)
            if spec.product in found:
                raise BadSpec(f"{file}: product {spec.product} has a spec already: {found[spec.product][0]}")
        except SeatrialError as error:
            broken[file] = str(error)
        else:
            found[spec.product] = (file.stem, spec)
    return found, broken


def _product_of(entry: Document) -> str | None:
    """The product whose release an entry of prefect.yaml is; None for one that stands for itself."""
    name = str(entry.get("name"))
    return name if product_tag(name) in (entry.get("tags") or []) else None


def _with_product(entry: Document, product: str | None) -> Document:
    """An entry for all products: its form begins with the only product that there is, or with none."""
    request = {name: value for name, value in entry["parameters"]["request"].items() if name != "product"}
    if product is not None:
        request["product"] = product
    return {**entry, "parameters": {"request": request} if request else {}}


def _is_plain(document: Document, entry: Document) -> bool:
    plain = set(entry) <= _PLAIN and "{{" not in json.dumps(entry, default=str)
    entrypoint = str(entry.get("entrypoint", ""))
    return plain and entrypoint.startswith("flows.") and not any(document.get(step) for step in _STEPS)


def _of_entry(entry: Document) -> Definition:
    fields = _fields(str(entry["entrypoint"]), entry.get("work_pool") or {})
    schedules = [_schedule(each, number) for number, each in enumerate(entry.get("schedules") or [])]
    return Definition(
        _flow(str(entry["entrypoint"])).name,
        str(entry["name"]),
        fields
        | {
            "description": entry.get("description") or "",
            "tags": sorted(entry.get("tags") or []),
            "parameters": entry.get("parameters") or {},
            "schedules": schedules,
        },
    )


def _schedule(given: Document, number: int) -> Document:
    """A schedule as prefect.yaml has it, as the API has it."""
    outside = {"slug", "active", "parameters"}
    when = {name: value for name, value in given.items() if name not in outside}
    if "cron" in when:
        when = {"timezone": "UTC", "day_or": True} | when
    return {
        "slug": given.get("slug") or f"schedule-{number}",
        "active": given.get("active", True),
        "schedule": when,
        "parameters": given.get("parameters") or {},
    }


def _of_product(called: str, spec: ProductSpec, pool: Document) -> Definition:
    own = {
        "description": spec.description,
        "tags": sorted({OURS, product_tag(spec.product)}),
        "parameters": {"request": {"product": called}},
        "schedules": schedules_of(called, spec.schedule),
    }
    return Definition(RELEASE, spec.product, _fields(_ENTRYPOINT, pool) | own)


def _fields(entrypoint: str, pool: Document) -> dict[str, Any]:
    return {
        "entrypoint": entrypoint,
        "work_pool_name": pool.get("name"),
        "work_queue_name": pool.get("work_queue_name", "default"),
        "job_variables": pool.get("job_variables") or {},
        "parameter_openapi_schema": _form(entrypoint),
    }


@cache
def _form(entrypoint: str) -> Document:
    from prefect.utilities.callables import parameter_schema

    form: Document = json.loads(parameter_schema(_flow(entrypoint).fn).model_dump_json())
    return form


def _flow(entrypoint: str) -> Any:
    module, _, function = entrypoint.rpartition(".")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError):
        raise BadInput(f"prefect.yaml: there is no flow {entrypoint!r}: write MODULE.FUNCTION") from None
