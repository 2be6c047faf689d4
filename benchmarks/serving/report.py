"""The results as tables: in the terminal, and in the documentation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT
from benchmarks.serving.entrants import ENTRANTS, Entrant, Way
from benchmarks.serving.environments import pinned_version
from benchmarks.serving.results import ALONE, Results

DOCUMENT, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "img" / "serving.svg"
_BEGIN, _END = "<!-- made by benchmarks.serving -->", "<!-- end of what benchmarks.serving made -->"
_AIMS = {"mlflow": 20.0, "bentoml": 7.0, "mlserver": 2.5, "ray": 5.0}
_PACKAGES = {"mlflow": "mlflow", "bentoml": "bentoml", "mlserver": "mlserver", "ray": "ray"}


@dataclass(frozen=True, slots=True)
class Line:
    """Medians of one way to ask; `times_ours` is its CPU by that of the way of ours that it is beside."""

    way: str
    cpu_ms: float | None
    times_ours: float | None
    p50_ms: float | None
    p99_ms: float | None


def lines(results: Results, model: str, rows: int) -> Iterator[Line]:
    """One for each way that was measured, ours first, what scikit-learn alone takes at the end."""
    for way in _ways():
        cpu = results.median(model, way.name, rows, lambda sample: sample.cpu_ms)
        if cpu is None:
            continue
        ours = results.median(model, way.ours, rows, lambda sample: sample.cpu_ms)
        p50 = results.median(model, way.name, rows, lambda sample: sample.p50_ms)
        p99 = results.median(model, way.name, rows, lambda sample: sample.p99_ms)
        yield Line(way.name, cpu, cpu / ours if ours else None, p50, p99)
    yield Line(ALONE, results.median(model, ALONE, rows, lambda sample: sample.cpu_ms), None, None, None)


def show(results: Results, console: Console) -> None:
    """Prints everything."""
    for model, rows in results.cases():
        offered = results.median(model, _ways()[0].name, rows, lambda sample: sample.offered)
        title = f"{model}, {rows:,} row{'s' * (rows > 1)} a request" + (f"; {offered:.0f}/s offered" if offered else "")
        table = Table("", *_HEADINGS, title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for line in lines(results, model, rows):
            table.add_row(line.way, *_cells(line))
        console.print(table)
    memory = Table("", *_MEMORY_HEADINGS, title="Memory", title_justify="left")
    for cells in _memory(results):
        memory.add_row(*cells)
    console.print(memory)
    for name, reason in results.failed.items():
        console.print(f"{name}: {reason}", markup=False, highlight=False)


def document(results: Results) -> None:
    """Puts the tables between the two marks in the documentation."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    DOCUMENT.write_text(f"{before}{_BEGIN}\n\n{markdown(results)}\n{_END}{after}", encoding="utf-8")


def markdown(results: Results) -> str:
    """Every table as the documentation shows it."""
    said = ["; ".join(f"{name} {value}" for name, value in results.conditions.items()) + ".", ""]
    said += ["| server | version | set up as |", "| --- | --- | --- |"]
    for entrant in (each for each in ENTRANTS if each.name in results.failed or _was_started(results, each)):
        package = _PACKAGES.get(entrant.name)
        version = pinned_version(entrant.name, package) if package else "this one"
        seen = f" **Not measured everywhere**: {results.failed[entrant.name]}" if entrant.name in results.failed else ""
        said.append(f"| {entrant.ways[0].name.partition(',')[0]} | {version} | {entrant.setup}{seen} |")
    for model in dict.fromkeys(model for model, _ in results.cases()):
        said += ["", f"**{model}**", ""]
        said += _rows(("rows", "", *_HEADINGS), ("right", "left", *["right"] * len(_HEADINGS)))
        for rows in (rows for other, rows in results.cases() if other == model):
            said += [f"| {rows:,} | {line.way} | {' | '.join(_cells(line))} |" for line in lines(results, model, rows)]
    said += ["", *_rows(("", *_MEMORY_HEADINGS), ("left", *["right"] * len(_MEMORY_HEADINGS)))]
    said += [f"| {' | '.join(cells)} |" for cells in _memory(results)]
    return "\n".join(said) + "\n"


_HEADINGS = ("CPU ms a request", "× ours", "aim", "p50 ms", "p99 ms")
_MEMORY_HEADINGS = ("PSS MB", "RSS MB", "processes", "start s", "beside it: PSS MB", "idle, % of a core")


def _ways() -> tuple[Way, ...]:
    return tuple(way for entrant in ENTRANTS for way in entrant.ways)


def _cells(line: Line) -> list[str]:
    owner = next((entrant.name for entrant in ENTRANTS if line.way in {way.name for way in entrant.ways}), "")
    aim = _AIMS.get(owner)
    ratio = f"{line.times_ours:.1f}" if line.times_ours else ""
    missed = ", missed" if aim and line.times_ours and line.times_ours < aim else ""
    return [
        _number(line.cpu_ms),
        ratio,
        f"≥ {aim:g}{missed}" if aim else "",
        _number(line.p50_ms),
        _number(line.p99_ms),
    ]


def _memory(results: Results) -> Iterator[list[str]]:
    for entrant in ENTRANTS:
        pss = results.median_start(entrant.name, lambda start: start.pss_mb)
        if pss is None:
            continue
        rss = results.median_start(entrant.name, lambda start: start.rss_mb)
        processes = results.median_start(entrant.name, lambda start: start.processes)
        seconds = results.median_start(entrant.name, lambda start: start.seconds)
        rest = results.median_start(entrant.name, lambda start: start.rest_pss_mb or None)
        idle = results.median_start(entrant.name, lambda start: start.rest_idle_percent)
        numbers = [f"{pss:.0f}", f"{rss:.0f}", f"{processes:g}", f"{seconds:.1f}"]
        beside = [f"{rest:.0f}" if rest else "", f"{idle:.1f}" if idle is not None else ""]
        yield [entrant.ways[0].name.partition(",")[0], *numbers, *beside]


def _was_started(results: Results, entrant: Entrant) -> bool:
    return any(start.entrant == entrant.name for start in results.starts)


def _rows(headings: tuple[str, ...], justify: tuple[str, ...]) -> list[str]:
    rule = ["---:" if each == "right" else "---" for each in justify]
    return [f"| {' | '.join(headings)} |", f"| {' | '.join(rule)} |"]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def relative(path: Path) -> str:
    """A path as one in the project reads it."""
    return str(path.relative_to(ROOT))
