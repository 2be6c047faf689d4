"""What docs/cli.md and docs/rollouts.md claim of commands, held against the command line over a platform in memory."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.settings import current
from deployments.spec import Strategy
from flows.entrypoints.cli import main as cli
from tasks.spec_file import parse_window
from tests.docs.claims import claim
from tests.unit.flows.conftest import Seatrial, carried_meanwhile, until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]


def options_of(command: str) -> set[str]:
    root: Any = typer.main.get_command(cli.app)
    return {option for parameter in root.commands[command].params for option in parameter.opts}


@claim(
    "docs/cli.md",
    "Results go to standard output, progress and errors to standard error. `--json` prints one JSON document and no "
    "progress.",
)
def test_results_and_progress_are_apart(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial("skip", PRODUCT, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["verb"] == "skip"
    assert told.err == ""


@claim(
    "docs/cli.md",
    "An error leaves standard output empty (`lint`, `status` and `replay` excepted) and ends with its code;",
)
def test_an_error_leaves_standard_output_empty(alone: Seatrial, capsys: Captured) -> None:
    for command in ("history", "explain", "plan", "watch"):
        assert alone(command, "nope") == 2
        told = capsys.readouterr()
        assert (told.out, told.err[:7]) == ("", "error: ")


@claim("docs/cli.md", "`PRODUCT` is the name of a product in `specs/`, or the path of a spec.")
@claim(
    "docs/cli.md",
    '`lint`: `{"spec": PATH, "ok": true, "product": NAME, "notes": [TEXT, …]}`, or with exit code 2 '
    '`{"spec": PATH, "ok": false, "problems": [TEXT, …]}`',
)
def test_lint_tells_what_the_page_shows(alone: Seatrial, capsys: Captured, tmp_path: Path) -> None:
    assert alone("lint", "flights", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (list(told), told["ok"], told["product"]) == (["spec", "ok", "product", "notes"], True, "flights")
    (tmp_path / "bad.yaml").write_text("product: bad\n")
    assert alone("lint", str(tmp_path / "bad.yaml"), "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (list(told), told["ok"]) == (["spec", "ok", "problems"], False)


@claim(
    "docs/cli.md",
    "| `lint PRODUCT` | `--json` | checks a spec, its model and its suite, and tells every mistake; reads no data, "
    "starts nothing |",
)
def test_lint_reads_no_data_and_makes_no_home(alone: Seatrial, tmp_path: Path) -> None:
    spec = (ROOT / "specs" / "flights.yaml").read_text().replace("../data/", "../nowhere/")
    (tmp_path / "flights.yaml").write_text(spec)
    (tmp_path / "flights.suite.json").write_bytes((ROOT / "specs" / "flights.suite.json").read_bytes())
    assert alone("lint", str(tmp_path / "flights.yaml")) == 0
    assert not (tmp_path / "home").exists()


@claim(
    "docs/cli.md",
    "the steps that a release would take, how long, and how many requests each decision needs; moves nothing |",
)
@claim(
    "docs/cli.md",
    "`plan`: seconds and requests are null where they cannot be told; `not_counted` are kinds of steps without a "
    "known time.",
)
def test_plan_tells_what_the_page_shows(alone: Seatrial, capsys: Captured, tmp_path: Path) -> None:
    assert alone("plan", "flights", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    shown = ["product", "strategy", "candidate", "champion", "traffic", "steps", "seconds", "not_counted", "warnings"]
    assert list(told) == shown
    assert set(told["traffic"]) == {"requests_per_second", "error_rate"}
    assert {frozenset(step) for step in told["steps"]} == {
        frozenset({"number", "step", "seconds", "requests", "reason", "warning"})
    }
    assert not (tmp_path / "home").exists()


@claim(
    "docs/cli.md", "The command waits up to ten seconds to say what became of it, `abort` until the traffic is back."
)
@claim(
    "docs/cli.md",
    "The orders: `dealt_with` is false when the carrier did not come to it in time, `carried` when nobody carries the "
    "rollout.",
)
def test_an_order_that_nobody_deals_with_is_told_after_ten_seconds(
    world: World, seatrial: Seatrial, capsys: Captured
) -> None:
    until(world, Phase.OBSERVING)
    before = world.clock.monotonic()
    assert seatrial("pause", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert 10 <= world.clock.monotonic() - before < 12
    shown = {"product", "rollout", "candidate", "verb", "dealt_with", "carried", "phase", "step", "reason"}
    assert (set(told), told["dealt_with"], told["carried"]) == (shown, False, True)


@claim("docs/cli.md", "An order that cannot mean anything now is refused with exit code 2 and the reason.")
def test_an_order_that_cannot_mean_anything_is_2(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    until(world, Phase.OBSERVING)
    assert seatrial("approve", PRODUCT) == 2
    assert "nothing is asked" in capsys.readouterr().err


@claim("docs/cli.md", "`watch` ends with 0 when the rollout is done, with 4 when it was rolled back;")
@pytest.mark.parametrize(("errors", "code"), [(0.0, 0), (0.4, 4)])
def test_watch_ends_as_the_rollout_does(world: World, seatrial: Seatrial, errors: float, code: int) -> None:
    world.errors[2] = errors
    carried_meanwhile(world, until(world, Phase.OBSERVING))
    assert seatrial("watch", PRODUCT) == code


@claim(
    "docs/cli.md",
    "`--rollout` takes an id or its beginning; without it, the rollout under way counts, else the last one.",
)
def test_a_rollout_is_named_by_the_beginning_of_its_id(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.run(world.wish(2, Strategy.CANARY))
    assert seatrial("explain", PRODUCT, "--json") == 0
    last = json.loads(capsys.readouterr().out)
    assert seatrial("explain", PRODUCT, "--rollout", "rollout-2", "--json") == 0
    assert json.loads(capsys.readouterr().out) == last
    assert last["rollout"] == "rollout-2"


@claim("docs/cli.md", "`explain`: what `status` says of a rollout, and `asked`, `ruling`, `why`, `findings`")
@claim(
    "docs/cli.md",
    "`timeline`, `orders`, `needed`. `replay`: `identical`, and `verdicts`, each with `recorded` and `now`.",
)
def test_explain_and_replay_tell_what_the_page_lists(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    world.run(world.wish(2, Strategy.CANARY))
    assert seatrial("explain", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"asked", "ruling", "why", "findings", "timeline", "orders", "needed"} <= set(told)
    assert all("sentence" in finding for finding in told["findings"])
    assert seatrial("replay", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"identical", "verdicts"} <= set(told)
    assert all({"recorded", "now"} <= set(verdict) for verdict in told["verdicts"])


@claim("docs/cli.md", "`history`: a list, oldest first; each event has `at`, `product`, `event`, `run`")
@claim("docs/cli.md", "the newest 40 events without `--limit` |")
def test_history_is_a_list_oldest_first(world: World, seatrial: Seatrial, capsys: Captured) -> None:
    for _ in range(3):
        world.run(world.wish(2, Strategy.CANARY))
        world.run(world.wish(3, Strategy.CANARY))
    assert seatrial("history", PRODUCT, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told) == 40
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)
    assert all({"at", "product", "event", "run"} <= set(each) for each in told)


@claim(
    "docs/cli.md",
    "`--window` takes `2013-02-01..2013-04-01`, `2013-02-01..`, `..2013-04-01` (the end does not count), a length "
    "such as `60d` or [back from now](triggers.md#schedules) such as `-60d..-1d`",
)
def test_a_window_is_written_as_the_page_says() -> None:
    for text in ("2013-02-01..2013-04-01", "2013-02-01..", "..2013-04-01"):
        window = parse_window(text)
        assert str(window.start or "..")[:2] in {"20", ".."}
    assert parse_window("60d").last is not None
    assert parse_window("-60d..-1d").end is not None


@claim(
    "docs/rollouts.md",
    "The six orders, from `promote` to `abort`, take `--reason`.",
    "`rollback` and `retry` take none.",
)
@claim("docs/cli.md", "The six orders (`promote` to `abort`) are written down for whoever carries the rollout.")
def test_orders_take_a_reason_and_releases_do_not() -> None:
    assert len(Verb) == 6
    assert all("--reason" in options_of(verb.value) for verb in Verb)
    assert not any("--reason" in options_of(command) for command in ("rollback", "retry", "release"))


@claim(
    "docs/rollouts.md", "The form has no default for the order, so that running it again approves nothing by itself."
)
def test_the_form_has_no_default_for_the_order() -> None:
    from flows.parameters import SteerRequest

    assert SteerRequest.model_fields["verb"].is_required()
    assert {verb.value for verb in Verb} == set(SteerRequest.model_json_schema()["$defs"]["Verb"]["enum"])


@claim(
    "docs/cli.md",
    "`--detach` needs the platform: the run goes to its worker, and the command returns at once with the run's page.",
)
def test_detach_needs_the_platform(alone: Seatrial, capsys: Captured) -> None:
    assert alone("release", "flights", "--detach") == 5
    assert "`seatrial up`" in capsys.readouterr().err


@claim("docs/cli.md", '`down`: `{"ended": [NAME, …]}`')
def test_down_says_what_it_ended(alone: Seatrial, capsys: Captured) -> None:
    assert alone("down", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ended": []}


@claim("docs/cli.md", "A number that JSON has no word for, such as a metric that is not defined (NaN), is null.")
def test_nan_is_null(capsys: Captured) -> None:
    from flows.entrypoints.console import print_json

    print_json({"roc_auc": float("nan"), "bounds": [float("inf")]})
    assert json.loads(capsys.readouterr().out) == {"roc_auc": None, "bounds": [None]}


@claim(
    "docs/cli.md",
    "makes a product of a CSV or Parquet file, or a URL of one: writes spec and suite with comments, checks them and "
    "shows the plan",
)
@claim("docs/your-own-model.md", "Nothing that is there is replaced, and an interruption leaves nothing.")
@claim("docs/your-own-model.md", "`--time ''` and `--key ''` mean none.")
def test_init_writes_a_spec_and_replaces_none(
    alone: Seatrial, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_PROJECT", str(tmp_path))
    current.cache_clear()
    rows = "".join(f"{hour},{hour % 7 + 0.5},{hour * 2 + hour % 3}\n" for hour in range(1, 200))
    (tmp_path / "rides.csv").write_text(f"hour,wind,riders\n{rows}")
    asked = ["init", str(tmp_path / "rides.csv"), "--target", "riders", "--time", "", "--key", "", "--yes"]
    assert alone(*asked) == 0
    written = (tmp_path / "specs" / "rides.yaml").read_text()
    assert "# " in written
    assert (tmp_path / "specs" / "rides.suite.json").is_file()
    capsys.readouterr()
    assert alone(*asked) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "specs" / "rides.yaml").read_text() == written
