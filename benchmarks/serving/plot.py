"""The results as a picture: a dot for each way to ask, model and number of rows, on logarithmic axes."""

from pathlib import Path
from typing import Any

from benchmarks.serving.entrants import ENTRANTS
from benchmarks.serving.report import Line, lines
from benchmarks.serving.results import ALONE, Results

_COLOURS = ("#0b7285", "#e67700", "#862e9c", "#2b8a3e")
_OURS = "#e7f5f8"


def draw(results: Results, path: Path) -> None:
    """Writes an SVG whose text stays text."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    models = list(dict.fromkeys(model for model, _ in results.cases()))
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "seatrial", "font.size": 9, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure, panels = pyplot.subplots(
            2, len(models), figsize=(1.8 + 2.9 * len(models), 5.6), sharey=True, squeeze=False, layout="constrained"
        )
        for column, model in enumerate(models):
            _panel(panels[0][column], results, model, "CPU ms a request", lambda line: line.cpu_ms)
            _panel(panels[1][column], results, model, "p99 ms at equal load", lambda line: line.p99_ms)
            panels[0][column].set_title(model, fontsize=10)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _panel(panel: Any, results: Results, model: str, title: str, of: Any) -> None:
    names = [*(way.name for entrant in ENTRANTS for way in entrant.ways), ALONE]
    for colour, rows in zip(_COLOURS, (rows for other, rows in results.cases() if other == model), strict=False):
        found: dict[str, Line] = {line.way: line for line in lines(results, model, rows)}
        known = [(of(found[name]), place) for place, name in enumerate(names) if name in found and of(found[name])]
        if known:
            label = f"{rows:,} row{'s' * (rows > 1)}"
            panel.scatter(*zip(*known, strict=True), s=34, color=colour, edgecolor="white", linewidth=0.6, label=label)
    panel.axhspan(-0.5, sum(name.startswith("Seatrial") for name in names) - 0.5, color=_OURS, zorder=0)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set_xlabel(title)
    panel.grid(axis="x", color="#dee2e6", linewidth=0.7, zorder=0)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.tick_params(axis="y", length=0)
