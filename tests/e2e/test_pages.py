"""What the pages tell a reader to type is typed, in a folder of one's own, and the answers are those of the pages."""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from tests.architecture.test_documentation import rows, table
from tests.docs.claims import claim
from tests.docs.pages import ROOT, Command, blocks
from tests.docs.terminal import BIN, Terminal
from tests.docs.test_commands import typed
from tests.e2e.conftest import until
from tests.ports import free_port

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def mine() -> Iterator[Terminal]:
    """A folder with nothing in it; afterwards the last command of docs/your-own-model.md is typed."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    ports = {name: str(free_port()) for name in ("GATEWAY", "PREFECT", "MLFLOW")}
    places = {":8080": f":{ports['GATEWAY']}", ":4200": f":{ports['PREFECT']}", ":5000": f":{ports['MLFLOW']}"}
    places |= {"/path/to/seatrial/.venv/bin": str(BIN), ".venv/bin/": ""}
    terminal = Terminal(folder, places, **{f"SEATRIAL_{name}_PORT": port for name, port in ports.items()})
    try:
        yield terminal
        *_, down = typed("docs/your-own-model.md")
        assert terminal.type(down.text).returncode == 0
        assert [each.cmdline() for each in psutil.process_iter(["cmdline"]) if str(folder) in str(each.info)] == []
    finally:
        terminal.type("seatrial down")
        shutil.rmtree(folder)


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, fingerprints."""
    return re.sub(r"\b[0-9a-f]{12}\b|\d[\d.,]*", "#", line).strip()


def done(terminal: Terminal, command: Command) -> str:
    """What a command says that succeeds, and that shows the lines of the page, in their order."""
    told = terminal.type(command.text)
    assert told.returncode == 0, f"{command.text}\n{told.stdout}\n{told.stderr}"
    shown = [shape(line) for line in command.answer.splitlines() if line[:1] in {"✓", "✗"} or " serves all" in line]
    lines = [shape(line) for line in (told.stderr + told.stdout).splitlines()]
    assert [line for line in lines if line in shown] == shown, "\n".join(lines)
    return told.stdout


@pytest.mark.crash  # a minute and more: the whole page, typed
@claim(
    "docs/your-own-model.md",
    "Every command and answer here comes from a run of this page;",
    "In the spec, two lines of `model` change:",
    "v2 serves again after",
    "With `max: 2` in the gate, the same model is refused. Exit code 3, and the champion serves as before:",
    "With one empty `order_id` in the CSV, nothing is trained:",
)
def test_your_own_model_from_a_csv_to_live_traffic_and_back(mine: Terminal) -> None:
    page = "docs/your-own-model.md"
    make_orders, my_models = (block.text for block in blocks(page) if block.language == "python")
    spec, changed, _ = (block.text for block in blocks(page) if block.language == "yaml")
    refused, empty = (block.text for block in blocks(page) if block.heading == "When the answer is no")
    path, folder, init, orders, lint, profile, up, release, ask, again, better, rollback, history, _ = typed(page)
    done(mine, path)
    done(mine, folder)
    bookings().to_csv(mine.folder / "bookings.csv", index=False)
    assert "is there" in done(mine, init) or (mine.folder / "specs" / "bookings.yaml").is_file()

    (mine.folder / "make_orders.py").write_text(make_orders)
    done(mine, orders)
    delivery = mine.folder / "specs" / "delivery.yaml"
    delivery.write_text(spec)
    for each in (lint, profile, up, release):
        done(mine, each)
    (minutes,) = json.loads(done(mine, ask))["predictions"]
    assert minutes == pytest.approx(30.5, abs=1.5)
    done(mine, again)

    (mine.folder / "my_models.py").write_text(my_models)
    delivery.write_text(yaml.safe_dump(yaml.safe_load(spec) | yaml.safe_load(changed), sort_keys=False))
    done(mine, better)
    assert json.loads(done(mine, ask))["predictions"][0] == pytest.approx(38.4, abs=5)
    done(mine, rollback)
    assert json.loads(done(mine, ask))["predictions"] == [minutes]
    assert "v2" in done(mine, history)

    said = delivery.read_text()
    delivery.write_text(said.replace("max: 6", "max: 2"))
    assert_refused(mine.type(release.text), refused)
    delivery.write_text(said)
    rows = (mine.folder / "data" / "orders.csv").read_text()
    (mine.folder / "data" / "orders.csv").write_text(re.sub(r"^([^,]+),17,", r"\1,,", rows, flags=re.MULTILINE))
    assert_refused(mine.type(release.text), empty)
    assert json.loads(done(mine, ask))["predictions"] == [minutes]


def assert_refused(told: Any, shown: str) -> None:
    assert told.returncode == 3
    lines = [shape(line) for line in told.stderr.splitlines()]
    assert [shape(line) for line in shown.splitlines() if shape(line) not in lines] == []


def bookings() -> pd.DataFrame:
    """Bookings, and which of them were cancelled."""
    random = np.random.default_rng(5)
    nights, early = random.integers(1, 15, 2000), random.integers(0, 200, 2000)
    cancelled = random.uniform(size=2000) < 1 / (1 + np.exp(3 - 0.02 * early - 0.05 * nights))
    booked = pd.date_range("2026-01-01", periods=2000, freq="h")
    return pd.DataFrame({"booked": booked, "nights": nights, "days_early": early, "cancelled": cancelled})


@claim("README.md", "spec and suite, with comments; asks what you do not say", "trains, checks, serves")
def test_a_product_of_your_own_as_the_readme_has_it(mine: Terminal) -> None:
    init, release = typed("README.md")
    if not (mine.folder / "bookings.csv").exists():
        bookings().to_csv(mine.folder / "bookings.csv", index=False)
    shutil.rmtree(mine.folder / "specs", ignore_errors=True)
    done(mine, init)
    done(mine, release)


@pytest.fixture(scope="module")
def flights(mine: Terminal) -> Terminal:
    """The same folder with flights in it, of which v1 serves."""
    for name in ("specs", "data"):
        (mine.folder / name).mkdir(exist_ok=True)
    for name in ("specs/flights.yaml", "specs/flights.suite.json", "data/flights.parquet"):
        shutil.copy(ROOT / name, mine.folder / name)
    for command in ("seatrial up", "seatrial release flights"):
        assert mine.type(command).returncode == 0
    return mine


def body_of(answer: str) -> Any:
    """The JSON behind the headers, if there are any."""
    return json.loads(answer.rpartition("\n\n")[2])


@claim(
    "docs/operations.md",
    "| `GET /v2/models/<product>` | columns and outputs |",
    '| `GET /v2/models/<product>/ready` | `{"name":"flights","ready":true}` |',
    "| `GET /<product>/version` | the version that answered |",
    '| `GET /<product>/health` | `{"ready":true}` |',
    "| `GET /<product>/metrics` | Prometheus text of the one server that answered |",
    '| `GET /seatrial/health` | `{"status": "up"}`: the gateway itself |',
    "404 is a path without a product;",
    "`seatrial log` reads it wherever it lies, one product at a time: oldest row first,",
    "| `f_<feature>` | each feature as the model got it: a number, or a text; null where it is missing or masked |",
)
def test_flights_are_asked_as_operations_has_it(flights: Terminal) -> None:
    mlflow, v2, *logs = typed("docs/operations.md")
    for each in (mlflow, v2):
        answered = flights.type(each.text).stdout.replace("\r", "")
        names = [line.partition(":")[0] for line in each.answer.split("\n\n")[0].splitlines() if ": " in line[:40]]
        assert [name for name in names if f"{name}:" not in answered] == []
        shown, told = body_of(each.answer), body_of(answered)
        assert list(told) == list(shown)
        assert numbers(told) == pytest.approx(numbers(shown), rel=1e-6)

    def get(path: str) -> str:
        return flights.type(f"curl -s http://127.0.0.1:8080{path}").stdout

    assert {"inputs", "outputs"} <= set(json.loads(get("/v2/models/flights")))
    assert json.loads(get("/v2/models/flights/ready")) == {"name": "flights", "ready": True}
    assert get("/flights/version") == "1"
    assert json.loads(get("/flights/health")) == {"ready": True}
    assert "# TYPE seatrial_server_requests_total counter" in get("/flights/metrics")
    assert json.loads(get("/seatrial/health")) == {"status": "up"}
    assert "404" in get("/nowhere -o /dev/null -w '%{http_code}'")

    last, since, parquet, *pages = logs
    assert until(lambda: len(flights.type(last.text).stdout.splitlines()) >= 3, 60)
    logged = [json.loads(line) for line in done(flights, since).splitlines()]
    assert [each["time"] for each in logged] == sorted(each["time"] for each in logged)
    columns = {re.sub(r"^f_.+", "f_<feature>", name) for name in logged[0]} - {"product", "version", "date"}
    assert columns == set(table(ROOT / "docs" / "operations.md", "column")) - {"h_<feature>"}
    done(flights, parquet)
    (pandas,) = (block.text for block in blocks("docs/operations.md") if block.language == "python")
    (flights.folder / "read.py").write_text(f"{pandas}\nprint(len(pd.read_parquet('answers.parquet')))\n")
    assert int(flights.type("python read.py").stdout) >= 2
    for each in pages:
        done(flights, each)
    asked = (
        'curl -s -o /dev/null -w "%{http_code}" -u "$PREFECT_API_AUTH_STRING" "$PREFECT_API_URL/flows/filter" -X POST'
    )
    assert flights.type(asked).stdout == "200"


@claim(
    "docs/operations.md",
    "`seatrial logs` lists the processes and supervisord, `seatrial logs gateway -f` follows one. The files lie in "
    "`logs/` in the "
    "home.",
    "| in the home | what | may be removed |",
)
@claim("docs/cli.md", '`up`: `{"gateway": URL, "prefect": URL, "mlflow": URL}`', "what runs already is left alone |")
@claim("docs/architecture.md", "Everything of the embedded platform lies in one folder, `SEATRIAL_HOME`")
def test_processes_and_files_are_those_of_the_pages(flights: Terminal) -> None:
    operations, status = ROOT / "docs" / "operations.md", Command("seatrial status --json")
    before = json.loads(done(flights, status))
    assert json.loads(done(flights, Command("seatrial up --json"))) == before["platform"]
    assert json.loads(done(flights, status))["processes"].keys() == before["processes"].keys()
    # The platform of these tests was up for some commands and not for others.
    processes = set(table(operations, "process")) - {"prefect-for-one-command"}
    listed = {line.split()[0] for line in done(flights, Command("seatrial logs")).splitlines()}
    known = {re.sub(r"^model-[a-z]+-v\d+-\d+$", "model-PRODUCT-vN-I", name) for name in listed}
    assert known - {"prefect-for-one-command"} == processes | {"supervisord"}
    home = flights.folder / ".seatrial"
    named = {
        name.split("/")[0]
        for page, header in ((operations, "in the home"), (ROOT / "docs" / "architecture.md", "path"))
        for row in rows(page, header)
        for cell in row[:2]
        for name in re.findall(r"`([\w.-]+/?)`", cell)
    }
    assert {each.name.removesuffix("-journal") for each in home.iterdir()} - {
        name.rstrip("/") for name in named
    } == set()


def numbers(answer: Any) -> list[float]:
    """The probabilities of an answer, in MLflow's form or in V2."""
    if "predictions" in answer:
        return list(answer["predictions"][0])
    return [value for output in answer["outputs"] for value in output["data"]]


@pytest.mark.crash  # waits for half a minute
@claim(
    "docs/feedback.md",
    "Every answer carries two headers: who gave it, and to which request.",
    "Give a product a key, and only its holders may:",
    "Nothing in it proves that the user was answered,",
)
def test_feedback_is_sent_as_the_page_has_it(flights: Terminal) -> None:
    ask, identify, send, install, draw, with_key, by_key = typed("docs/feedback.md")
    answered = flights.type(ask.text).stdout
    (request,) = re.findall(r"x-request-id: (\S+)", answered)
    assert answered.startswith("HTTP/1.1 200 OK"), answered
    (version,) = re.findall(r"x-seatrial-version: (\d+)", answered)
    done(flights, Command(f"ID={request}" if identify.text.startswith("ID=") else identify.text))
    sent = send.text.replace('"version": 3', f'"version": {version}')
    assert json.loads(done(flights, Command(sent))) == json.loads(send.answer)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert json.loads(done(flights, Command(re.sub(r"20\S+Z", now, by_key.text)))) == json.loads(by_key.answer)
    for each in (install, draw):
        done(flights, each)
    item = sent.partition(" -H ")[2]
    time.sleep(31)  # the newest key counts within 30 s
    assert flights.type(sent).stdout.count("key") >= 1
    assert json.loads(flights.type(with_key.text.replace("…", f"-H {item}")).stdout)["stored"] == 2
