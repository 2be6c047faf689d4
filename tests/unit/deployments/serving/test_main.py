import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.serving.__main__ import main
from deployments.targets.exit_reason import last_words_in
from tests.model_folder import write_manifest, write_model_folder

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "v3")


def options(folder: Path) -> list[str]:
    return ["--model", str(folder), "--product", "flights", "--version", "3", "--uds", str(folder.parent / "s")]


def run_apart(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments.serving", *options(folder)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200, check=False)


def test_a_tampered_model_is_refused_with_exit_code_2_and_a_last_line_that_says_why(folder: Path) -> None:
    (folder / "model" / "model.skops").write_bytes(b"tampered")
    finished = run_apart(folder)
    assert finished.returncode == 2
    last = json.loads(finished.stdout.splitlines()[-1])
    assert (last["level"], last["event"]) == ("error", "refused to serve")
    assert "model.skops has SHA-256" in last["error"]
    assert "Traceback" not in finished.stdout + finished.stderr


def test_the_keeper_understands_a_refusal_as_final(folder: Path, tmp_path: Path) -> None:
    (folder / "verification.json").write_text("{}")
    log = tmp_path / "server.log"
    log.write_text(run_apart(folder).stdout)
    assert last_words_in(log).final
    log.write_text(log.read_text() + '{"event": "ready"}\n')
    assert not last_words_in(log).final


def test_the_line_that_says_ready_says_how_the_model_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deployments.serving.__main__.serve_until_signal", lambda *_: True)
    assert main(options(folder)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [ready] = [line for line in lines if line["event"] == "ready"]
    assert ready["compiled"] == "linear"
    assert ready["memory_mb"] > 50


def test_each_stage_of_a_start_is_told_when_it_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deployments.serving.__main__.serve_until_signal", lambda *_: True)
    assert main(options(folder)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    starting = [line for line in lines if line["event"] == "starting"]
    assert [line["stage"] for line in starting] == [
        "waiting for its turn",
        "checking the files of the model",
        "loading the model",
        "compiling the model",
        "answering its held-out rows",
        "opening its log and its sockets",
    ]
    seconds = [line["seconds"] for line in starting]
    assert seconds == sorted(seconds)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert {line["model_mb"] for line in starting} == {round(size / 1e6, 1)}


def test_a_model_that_fails_on_its_own_verification_rows_is_refused(folder: Path) -> None:
    verification = {"request": {"dataframe_records": [{"distance": "far"}]}, "predictions": []}
    (folder / "verification.json").write_text(json.dumps(verification))
    write_manifest(folder)
    finished = run_apart(folder)
    assert finished.returncode == 2
    assert "fails its own verification rows" in finished.stdout


def test_the_server_needs_nothing_of_the_rest_of_the_project() -> None:
    program = (
        "import sys, deployments.serving.__main__, deployments.trusted_types, skops.io, pandas; "
        "print(sorted({'prefect', 'mlflow', 'great_expectations', 'pydantic', 'tasks', 'flows'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("wrong", [[], ["--uds", "s", "--port", "1"]])
def test_it_must_be_told_where_to_listen(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--model", "m", "--product", "p", "--version", "1", *wrong])
    assert ended.value.code == 2
    assert "--uds" in capsys.readouterr().err
