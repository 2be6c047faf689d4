"""A spec and its suite from a file of rows, made in a folder that is thrown away and written in one go."""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.atomic_files import write_once
from deployments.clock import Clock, SystemClock
from deployments.errors import BadData, BadInput, BadModel
from deployments.plurals import counted
from deployments.settings import Settings
from tasks.data_validation.builtin_checks import guard
from tasks.data_validation.suite_profiler import propose_suite
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.problem_types import TaskKind
from tasks.product_spec import ColumnType, ProductSpec
from tasks.scaffolding.baseline_model import Limit, Maker, held_out_share, limits, makers
from tasks.scaffolding.column_roles import Columns, LeftOut, check_column, check_key, check_time, sort_columns, task_of
from tasks.scaffolding.read_rows import Rows
from tasks.scaffolding.spec_text import spec_text
from tasks.spec_file import load_product

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_NAME = 40
_NEEDLESSLY_MANY = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What is known of a product: the rest is proposed. `time` None and an empty `key`: there is none."""

    name: str
    target: str
    time: str | None
    key: tuple[str, ...]
    task: TaskKind | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be written, and where; `left_out` and `limits` are for telling."""

    spec_file: Path
    spec: str
    suite_file: Path
    suite: str
    left_out: tuple[LeftOut, ...]
    limits: tuple[Limit, ...]

    def write(self) -> None:
        """Both files or none; the folder is made if it is not there. Raises `BadInput` for one that is there."""
        check_free(self.spec_file, self.suite_file)
        folder, made = self.spec_file.parent, not self.spec_file.parent.exists()
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        try:
            for path, text in ((self.suite_file, self.suite), (self.spec_file, self.spec)):
                written.append(path)
                write_once(path, text.encode(), mode=0o644)
                if path.read_text(encoding="utf-8") != text:
                    written.remove(path)  # somebody else's, who was quicker
                    check_free(path)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
            raise


def check_free(*paths: Path) -> None:
    """Raises `BadInput` for a file that is there: nothing of yours is replaced."""
    for path in paths:
        same = (path, path.with_suffix(".yml")) if path.suffix == ".yaml" else (path,)
        if there := next((each for each in same if os.path.lexists(each)), None):
            raise BadInput(f"{there} is there already, and stays as it is: give another --name, or edit that file")


def name_from(place: str) -> str:
    """A product's name from that of its file: small letters, digits and dashes."""
    stem = Path(place.partition("?")[0].rstrip("/")).name.partition(".")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    if not name or not name[0].isalpha():
        name = f"product-{name}".strip("-")[:_LONGEST_NAME].strip("-")
    return f"{name}-model" if name in {"v2", "seatrial"} else name


def draft(wish: Wish, rows: Rows, settings: Settings, clock: Clock | None = None) -> Draft:
    """The spec and suite for `wish`; a model was fitted and the suite applied. Writes nothing that stays.

    Raises `BadInput` for what is not in the file, `BadData` for rows that nothing can be learned from, `BadSpec` for a
    name that no product may have.
    """
    clock, folder = clock or SystemClock(), settings.specs_folder
    spec_file, suite_file = folder / f"{wish.name}.yaml", folder / f"{wish.name}.suite.json"
    check_free(spec_file, suite_file)
    columns = _columns(wish, rows)
    with tempfile.TemporaryDirectory(prefix="seatrial-init-") as scratch:
        spec = _loaded(_document(wish, rows, columns), Path(scratch))
        frame = load_snapshot(take_snapshot(spec, Path(scratch) / "snapshots"))
        columns = _without_what_is_amiss(spec, frame, columns)
        spec, found = _with_model(wish, rows, columns, frame, (settings, Path(scratch), clock))
        suite = json.dumps(propose_suite(frame, spec), indent=2, ensure_ascii=False) + "\n"
        shown = _as_written(spec, wish, rows, settings)
        text = spec_text(shown, columns.left_out, found, len(frame))
        _check_text(text, spec, Path(scratch))
    return Draft(spec_file, text, suite_file, suite, columns.left_out, found)


def _columns(wish: Wish, rows: Rows) -> Columns:
    check_column(wish.target, rows, "--target")
    if wish.time is not None:
        check_time(wish.time, rows)
    check_key(wish.key, rows)
    if wish.target in {wish.time, *wish.key}:
        raise BadInput(f"{wish.target!r} is the target: choose another column for --time and --key")
    task = task_of(rows.frame[wish.target], wish.target)
    if wish.task is TaskKind.REGRESSION and task is not wish.task:
        import pandas as pd

        if not pd.api.types.is_numeric_dtype(rows.frame[wish.target].dtype):
            raise BadInput(f"--task regression: {wish.target!r} holds no numbers: use classification")
    return sort_columns(rows, wish.target, wish.time, wish.key)


def _types(rows: Rows, columns: Columns) -> dict[str, ColumnType]:
    """What each feature is, as it was found out here once: no later file decides it anew."""
    from pandas.api.types import is_bool_dtype

    numbers = dict.fromkeys(columns.numeric, ColumnType.NUMBER)
    truths = {name for name in columns.categorical if is_bool_dtype(rows.frame[name].dropna().infer_objects())}
    return numbers | {
        name: ColumnType.BOOLEAN if name in truths else ColumnType.CATEGORY for name in columns.categorical
    }


def _task(wish: Wish, rows: Rows) -> TaskKind:
    return wish.task or task_of(rows.frame[wish.target], wish.target)


def _document(wish: Wish, rows: Rows, columns: Columns, maker: Maker | None = None) -> dict[str, Any]:
    """The spec as a mapping; without a `maker` with whatever makes it whole."""
    task = _task(wish, rows)
    maker = maker or makers(task, len(rows.frame))[0]
    preprocessing: dict[str, Any] = {}
    if columns.numeric:
        preprocessing["numeric"] = {"columns": list(columns.numeric), **maker.numeric}
    if columns.categorical:
        preprocessing["categorical"] = {"columns": list(columns.categorical), **_encoded(rows, columns, maker)}
    if not preprocessing:
        why = "; ".join(f"{each.name or '(nameless)'}: {each.why}" for each in columns.left_out)
        raise BadData(f"no column is left to learn from ({why}): add columns that tell something of {wish.target!r}")
    anything = (
        {"metric": "accuracy", "min": 0.0} if task is TaskKind.CLASSIFICATION else {"metric": "r2", "min": -1e300}
    )
    source = rows.source.model_dump(mode="json", exclude_defaults=True)
    features = len(columns.numeric) + len(columns.categorical)
    return {
        "product": wish.name,
        "description": f"{wish.target}, as predicted from {counted(features, 'column')}",
        "data": {
            "source": source,
            "target": wish.target,
            **({"time_column": wish.time} if wish.time else {}),
            **({"key": list(wish.key)} if wish.key else {}),
            "columns": {name: {"type": kind.value} for name, kind in _types(rows, columns).items()},
            "split": {"share": 0.25},
        },
        "validation": {"suite": f"{wish.name}.suite.json"},
        "preprocessing": preprocessing,
        "model": {
            "task": task.value,
            "estimator": maker.estimator,
            "parameters": maker.parameters,
            "output": "probability" if task is TaskKind.CLASSIFICATION else "prediction",
        },
        "gate": {"thresholds": [anything]},
        "rollout": {"strategy": "rolling", "replicas": 1},
    }


def _encoded(rows: Rows, columns: Columns, maker: Maker) -> dict[str, Any]:
    most = max(int(rows.frame[name].nunique()) for name in columns.categorical)
    rare = min(50, max(2, len(rows.frame) // 500))
    return maker.categorical | ({"min_frequency": rare} if most > _NEEDLESSLY_MANY else {})


def _loaded(document: dict[str, Any], scratch: Path) -> ProductSpec:
    path = scratch / "draft.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    return load_product(path)


def _without_what_is_amiss(spec: ProductSpec, frame: "pd.DataFrame", columns: Columns) -> Columns:
    """Without the features of which a release's own checks would say something: above all what tells the target."""
    amiss = []
    for part in ("numeric", "categorical"):
        section = getattr(spec.preprocessing, part)
        for name in section.columns if section else ():
            alone = section.model_copy(update={"columns": (name,)})
            sections = spec.preprocessing.model_copy(update={"numeric": None, "categorical": None, part: alone})
            data = spec.data.model_copy(update={"key": ()})
            one = spec.model_copy(update={"preprocessing": sections, "data": data})
            failed = [each for each in guard(frame[[name, spec.data.target]], one) if not each.passed]
            failed = [each for each in failed if "columns of the spec" not in each.check]
            if failed:
                amiss.append(LeftOut(name, f"{failed[0].message}"))
    names = {each.name for each in amiss}
    return Columns(
        tuple(name for name in columns.numeric if name not in names),
        tuple(name for name in columns.categorical if name not in names),
        (*columns.left_out, *amiss),
    )


def _with_model(
    wish: Wish, rows: Rows, columns: Columns, frame: "pd.DataFrame", where: tuple[Settings, Path, Clock]
) -> tuple[ProductSpec, tuple[Limit, ...]]:
    """The spec with the first estimator that can be fitted and says different things of different rows."""
    settings, scratch, clock = where
    reasons = []
    for maker in makers(_task(wish, rows), len(frame)):
        document = _document(wish, rows, columns, maker)
        spec = _loaded(document, scratch)
        split, share = held_out_share(frame, spec.data)
        document["data"]["split"] = {"share": share}
        try:
            found = limits(spec, split, settings, clock)
        except BadModel as error:
            reasons.append(str(error))
            continue
        document["gate"] = {
            "thresholds": [{"metric": each.metric, each.side: each.limit} for each in found],
            "against_champion": [{"metric": each.metric, "margin": each.margin} for each in found],
        }
        return _loaded(document, scratch), found
    raise BadData(f"no model can be fitted on these rows: {'; '.join(reasons)}")


def _as_written(spec: ProductSpec, wish: Wish, rows: Rows, settings: Settings) -> ProductSpec:
    """With its paths as they stand in the file: relative to it, where the data lie in the project."""
    source = rows.source
    if source.path is not None and Path(source.path).is_relative_to(settings.project.resolve()):
        relative = os.path.relpath(source.path, settings.specs_folder)
        source = source.model_copy(update={"path": relative})
    data = spec.data.model_copy(update={"source": source})
    validation = spec.validation.model_copy(update={"suite": f"{wish.name}.suite.json"})
    return spec.model_copy(update={"data": data, "validation": validation})


def _check_text(text: str, spec: ProductSpec, scratch: Path) -> None:
    """That the file says what was tried: read back, it is the same spec but for its paths."""
    path = scratch / "written.yaml"
    path.write_text(text, encoding="utf-8")
    read = load_product(path)
    if _without_paths(read) != _without_paths(spec):
        raise BadData("no spec can hold the names of these columns")


def _without_paths(spec: ProductSpec) -> ProductSpec:
    """`spec` without what depends on the folder of its file."""
    source = spec.data.source.model_copy(update={"path": "" if spec.data.source.path else None})
    data = spec.data.model_copy(update={"source": source})
    return spec.model_copy(update={"data": data, "validation": spec.validation.model_copy(update={"suite": ""})})
