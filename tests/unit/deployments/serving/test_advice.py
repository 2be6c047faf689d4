"""Whoever does what a refusal says is answered."""

import gzip
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.errors import BadArtifact
from deployments.serving import __main__ as serving
from deployments.serving.__main__ import warm_up
from deployments.serving.codecs.content_decoding import parsed
from deployments.serving.input_validation import Unanswerable
from deployments.serving.loaded_model import Model, load
from deployments.serving.management_api import make_app
from deployments.serving.request_limits import Limits
from deployments.serving.server_state import Service
from deployments.serving.startup.stages import Start
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, load_model
from tests.advice import followed
from tests.model_folder import write_manifest, write_model_folder
from tests.unit.deployments.serving.test_management_api import RECORD, ROW, TENSORS, Caller

Request = tuple[str, bytes, dict[str, str]]
CSV = b"distance,hour,carrier\n1400,5,UA\n"


def invoke(document: Any, **headers: str) -> Request:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return "/invocations", content, {name.replace("_", "-"): value for name, value in headers.items()}


def infer(document: Any, **headers: str) -> Request:
    return ("/v2/models/flights/infer", *invoke(document, **headers)[1:])


def records(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"dataframe_records": list(rows)}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


def first_tensor(**parameters: Any) -> dict[str, Any]:
    first, *rest = TENSORS["inputs"]
    return {"inputs": [{**first, **parameters}, *rest]}


REFUSED: list[tuple[Request, str, Request]] = [
    (
        invoke(RECORD, content_type="application/json; charset=latin-1"),
        followed("send the request in UTF-8"),
        invoke(RECORD, content_type="application/json; charset=utf-8"),
    ),
    (
        invoke(RECORD, content_encoding="br"),
        followed("send the body as it is, or with content-encoding gzip or deflate"),
        invoke(gzip.compress(json.dumps(RECORD).encode()), content_encoding="gzip"),
    ),
    (
        invoke(gzip.compress(b" " * 100_000), content_encoding="gzip"),
        followed("the request unpacks to more than "),
        invoke(gzip.compress(json.dumps(RECORD).encode()), content_encoding="gzip"),
    ),
    (
        invoke(CSV + b"1400,5,UA\n" * 5, content_type="text/csv"),
        followed("the request has more than "),
        invoke(CSV, content_type="text/csv"),
    ),
    (invoke(b" " * 10_000), followed("the request is larger than ", "deployments/serving/asgi.py"), invoke(RECORD)),
    (
        invoke(RECORD | {"instances": [[1]]}),
        followed("send a JSON object with exactly one of "),
        invoke(RECORD),
    ),
    (
        invoke(RECORD, content_type="application/xml"),
        followed("send the request as application/json or text/csv, with no parameter but charset"),
        invoke(RECORD, content_type="application/json"),
    ),
    (
        infer([1]),
        followed("send a JSON object with `inputs`, a list of tensors, one a column"),
        infer(TENSORS),
    ),
    (
        infer(TENSORS, content_type="application/octet-stream"),
        followed("send the request as application/json, or as application/octet-stream with its JSON's length in"),
        infer(
            TENSORS,
            content_type="application/octet-stream",
            inference_header_content_length=str(len(json.dumps(TENSORS))),
        ),
    ),
    (
        invoke(records(without("distance"))),
        followed("is missing: send null where its value is not known"),
        invoke(records({**ROW, "distance": None})),
    ),
    (
        invoke(records({**ROW, "price": 1})),
        followed("the model takes no column "),
        invoke(records(ROW)),
    ),
    (
        invoke(records(*[ROW] * 5)),
        followed("are answered at once: send it in parts"),
        invoke(records(*[ROW] * 4)),
    ),
    (
        infer(first_tensor(parameters={"binary_data_size": "8"})),
        followed("give its `binary_data_size` in bytes, or else its `data`"),
        infer(first_tensor()),
    ),
]


@pytest.mark.parametrize(("wrong", "told", "right"), REFUSED, ids=[told for _, told, _ in REFUSED])
def test_a_request_that_does_as_it_is_told_is_answered(model: Model, wrong: Request, told: str, right: Request) -> None:
    caller = Caller(Service(model, "3", Limits(rows=4, body_bytes=5_000)))

    def sent(request: Request) -> tuple[int, str]:
        path, content, headers = request
        answer = caller.send("POST", path, content=content, headers={"content-type": "application/json"} | headers)
        return answer.status_code, answer.json().get("error", "")

    code, said = sent(wrong)
    assert (400 <= code < 500, told in said) == (True, True), said
    assert sent(right) == (200, "")


def test_values_that_take_too_much_memory_are_sent_in_parts() -> None:
    with pytest.raises(Unanswerable) as error:
        parsed(b"[" + b"[]," * 3_000_000 + b"[]]")
    assert followed("the request holds too many values: send its rows in parts") in str(error.value)
    assert len(parsed(b"[" + b"[]," * 30_000 + b"[]]")) == 30_001


def test_a_model_of_another_product_is_served_as_its_own(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "v3")
    with pytest.raises(BadArtifact) as error:
        load(folder, "delays")
    assert followed("give its own --product") in str(error.value)
    assert load(folder, "flights").description.product == "flights"


def test_a_damaged_model_is_fetched_again(tmp_path: Path) -> None:
    whole = write_model_folder(tmp_path / "whole")
    folder = write_model_folder(tmp_path / "v3")
    (folder / "verification.json").write_text("{")
    with pytest.raises(BadArtifact) as error:
        load(folder, "flights")
    assert followed("fetch the version again, or train it anew", "deployments/serving/model_metadata.py") in str(
        error.value
    )
    load(whole, "flights")


def test_a_model_file_that_is_no_model_is_fetched_again(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "v3")
    file = folder / "model" / "model.skops"
    whole = file.read_bytes()
    file.write_bytes(b"PK")
    with pytest.raises(BadArtifact) as error:
        load_model(file, DEFAULT_TRUSTED_TYPES)
    assert followed("fetch the version again, or train it anew", "deployments/trusted_types.py") in str(error.value)
    file.write_bytes(whole)
    load_model(file, DEFAULT_TRUSTED_TYPES)


def test_a_type_that_is_named_is_trusted(tmp_path: Path) -> None:
    file = write_model_folder(tmp_path / "v3") / "model" / "model.skops"
    with pytest.raises(BadArtifact) as error:
        load_model(file, ())
    said = str(error.value)
    assert followed("holds types that nobody trusted: ") in said
    named = said.partition("trusted: ")[2].partition(";")[0].split(", ")
    load_model(file, named)


def test_a_model_that_fails_in_a_way_of_its_own_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StopIteration

    folder = write_model_folder(tmp_path)
    options = Namespace(model=folder, product="flights", trust=(), digest=None)
    monkeypatch.setattr(serving, "load", fails)
    with pytest.raises(BadArtifact) as error:
        serving._loaded(options, Start(folder, SystemClock()))
    assert followed(" failed while it was loaded (") in str(error.value)
    monkeypatch.undo()
    assert serving._loaded(options, Start(folder, SystemClock())).description.product == "flights"


def test_a_model_that_fails_its_own_rows_is_trained_anew(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "v3")
    (folder / "verification.json").write_text(json.dumps({"request": {"instances": [[1]]}}))
    write_manifest(folder)
    model = load(folder, "flights")
    with pytest.raises(BadArtifact) as error:
        warm_up(model, folder, Limits())
    assert followed("fails its own verification rows (") in str(error.value)
    anew = write_model_folder(tmp_path / "v4")
    warm_up(load(anew, "flights"), anew, Limits())


def test_unknown_categories_are_accepted_where_the_spec_says_so(tmp_path: Path, model: Model) -> None:
    from dataclasses import replace

    from deployments.serving.__main__ import _check_categories

    features = tuple(replace(each, categories=frozenset()) for each in model.description.features)
    nameless = replace(model, description=replace(model.description, features=features))
    with pytest.raises(BadArtifact) as error:
        _check_categories(nameless, Limits(unknown_categories=False))
    assert followed("set rollout.server.unknown_categories to accept") in str(error.value)
    _check_categories(nameless, Limits(unknown_categories=True))
    assert make_app(Service(nameless, "3"))
