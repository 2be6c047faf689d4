"""Each source's deliveries are taken as the source itself makes them, and no others."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadInput
from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.inbox import Delivery
from deployments.webhooks.receipt import receive
from deployments.webhooks.requests import Action, Nothing, NotTaken
from deployments.webhooks.sources import SOURCES
from tests.advice import followed
from tests.unit.deployments.webhooks.deliveries import PRODUCT, SOURCE_NAMES, START, delivery, hooks_in, resigned


def taken(hooks: Hooks, hook: Hook, headers: dict[str, str], body: bytes, now: datetime | None = None) -> Any:
    return receive(hooks, hook.source, hook.product, headers, body, now or START)


@pytest.fixture(params=SOURCE_NAMES)
def hook(request: pytest.FixtureRequest) -> Hook:
    return new_hook(request.param, PRODUCT)


@pytest.fixture
def hooks(tmp_path: Path, hook: Hook) -> Hooks:
    made = Hooks(tmp_path / "keys")
    made.keep(hook)
    return made


def test_what_the_source_signs_is_taken(hooks: Hooks, hook: Hook) -> None:
    headers, body = delivery(hook, START)
    found = taken(hooks, hook, headers, body)
    assert isinstance(found, Delivery)
    assert (found.product, found.wish.action) == (
        PRODUCT,
        Action.ROLLOUT if hook.source == "mlflow" else Action.RELEASE,
    )
    assert found.wish.version == (3 if hook.source == "mlflow" else None)


def test_mlflows_own_code_signs_what_is_taken(tmp_path: Path) -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    hooks = hooks_in(tmp_path, "mlflow")
    hook = hooks.find("mlflow", PRODUCT)
    headers, body = hook.spoken.sample(PRODUCT, hook.rules, 3, START)
    made = _generate_hmac_signature(
        hook.keys[0].secret, headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"], body.decode()
    )
    assert isinstance(taken(hooks, hook, {**headers, "x-mlflow-signature": made}, body), Delivery)


def test_githubs_example_of_a_signature_is_that_of_its_documentation() -> None:
    made = SOURCES["github"].signature({}, b"Hello, World!", "It's a Secret to Everybody")
    assert made == {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}


def test_one_more_byte_anywhere_is_refused(hooks: Hooks, hook: Hook) -> None:
    headers, body = delivery(hook, START)
    for changed in (body + b" ", b" " + body, body[:-1], body.replace(b"shop", b"shoq"), b""):
        if changed != body:
            with pytest.raises(NotTaken, match="signature"):
                taken(hooks, hook, headers, changed)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "x-mlflow-delivery-id", "x-mlflow-timestamp"])
def test_another_id_or_time_is_refused(tmp_path: Path, name: str) -> None:
    source = "mlflow" if "mlflow" in name else "generic"
    hooks = hooks_in(tmp_path, source)
    headers, body = delivery(hooks.find(source, PRODUCT), START)
    other = str(int(headers[name]) - 1) if "timestamp" in name else f"{headers[name]}1"
    with pytest.raises(NotTaken, match="signature"):
        taken(hooks, hooks.find(source, PRODUCT), {**headers, name: other}, body)


def test_another_products_key_is_refused(hooks: Hooks, hook: Hook) -> None:
    other = new_hook(hook.source, "other")
    hooks.keep(other)
    headers, body = delivery(hook, START, secret=other.keys[0].secret)
    with pytest.raises(NotTaken, match="signature"):
        taken(hooks, hook, headers, body)


def test_a_webhook_that_was_not_made_is_not_found(hooks: Hooks, hook: Hook) -> None:
    headers, body = delivery(hook, START)
    for source, product in ((hook.source, "nope"), ("nope", PRODUCT), (hook.source, "../shop"), ("", "")):
        with pytest.raises(NotTaken) as refused:
            receive(hooks, source, product, headers, body, START)
        assert refused.value.status == 404


@pytest.mark.parametrize("away", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_a_clock_that_is_ten_minutes_wrong_is_said_so(hooks: Hooks, hook: Hook, away: timedelta) -> None:
    headers, body = delivery(hook, START + away)
    late = hook.source == "github" and away < timedelta(0)  # its events may be three days old
    if late:
        assert isinstance(taken(hooks, hook, headers, body), Delivery)
        headers, body = delivery(hook, START - timedelta(days=3, minutes=1))
    with pytest.raises(
        NotTaken, match=followed("which this machine's clock shows: check the clocks of both machines")
    ) as refused:
        taken(hooks, hook, headers, body)
    assert refused.value.status == 401
    right = taken(hooks, hook, *delivery(hook, START))  # once both clocks are
    assert isinstance(right, Delivery)
    assert ("10.0 min" if not late else "4,321.0 min") in str(refused.value)


def test_both_keys_are_good_while_they_are_rotated_and_then_the_new_one(hooks: Hooks, hook: Hook) -> None:
    rotated = hook.rotated(START, timedelta(hours=1))
    hooks.keep(rotated)
    soon, later = START + timedelta(minutes=1), START + timedelta(minutes=61)
    for key in rotated.keys:
        assert isinstance(taken(hooks, hook, *delivery(hook, START, secret=key.secret), soon), Delivery)
    assert rotated.secrets(later) == (rotated.keys[0].secret,)
    assert hook.keys[0].secret != rotated.keys[0].secret
    twice = rotated.rotated(START + timedelta(minutes=2), timedelta(hours=5))
    assert [key.until for key in twice.keys][2] == rotated.keys[1].until


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"type":"release","type":"release"}', "same key twice"),
        (b'{"type":"release","data":{"product":"shop","product":"shop"}}', "same key twice"),
        (b"[" * 40 + b"]" * 40, "nested"),
        (b'{"type":"release","data":' + b'{"a":' * 33 + b"1" + b"}" * 34, "nested"),
        (b"[]", "not a JSON object"),
        (b'{"type":"release"', "not JSON"),
        (b'{"type":"release","timestamp":NaN}', "NaN"),
        (b'\xff{"type":"release"}', "signature|not JSON"),
        (b'{"type":"release"} ' + b"{}", "not JSON"),
        (b'{"type":"release","data":{"product":"other"}}', "the product in data is not shop"),
        (b'{"type":"release","data":{"path":"/etc/passwd"}}', "holds something else"),
        (b'{"type":"release","module":"os"}', "holds something else"),
        (b'{"type":"rollback"}', "may start"),
        (b'{"type":["release"]}', "may start"),
        (b'{"type":"rollout"}', "not a number as versions have"),
        (b'{"type":"rollout","data":{"version":"3"}}', "not a number as versions have"),
        (b'{"type":"rollout","data":{"version":true}}', "not a number as versions have"),
        (b'{"type":"rollout","data":{"version":-1}}', "not a number as versions have"),
        (b'{"type":"release","data":[]}', "an object data"),
    ],
)  # fmt: skip
def test_what_the_holder_of_a_key_may_not_say_is_refused(tmp_path: Path, body: bytes, why: str) -> None:
    hooks = hooks_in(tmp_path, "generic")
    hook = hooks.find("generic", PRODUCT)
    headers, _ = hook.spoken.sample(PRODUCT, hook.rules, 3, START)
    shown = headers | {"webhook-signature": _standard(hook, headers, body)}
    with pytest.raises(NotTaken, match=why):
        taken(hooks, hook, shown, body)


def _standard(hook: Hook, headers: dict[str, str], body: bytes) -> str:
    """As the library makes it, of bytes that may be no text."""
    import base64

    from deployments.webhooks.signatures import digest

    secret = base64.b64decode(hook.keys[0].secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(digest(secret, content)).decode()}"


def test_a_rollout_of_a_version_is_asked_for_by_its_number(tmp_path: Path) -> None:
    hooks = hooks_in(tmp_path, "generic")
    hook = hooks.find("generic", PRODUCT)
    headers, _ = hook.spoken.sample(PRODUCT, hook.rules, 3, START)
    found = taken(hooks, hook, *resigned(hook, headers, {"type": "rollout", "data": {"version": 7}}))
    assert (found.wish.action, found.wish.version) == (Action.ROLLOUT, 7)


def mlflow_event(entity: str, action: str, **data: str) -> dict[str, Any]:
    return {"entity": entity, "action": action, "timestamp": START.isoformat(), "data": {"name": PRODUCT} | data}


@pytest.mark.parametrize(
    ("event", "rules", "version"),
    [
        (mlflow_event("model_version_alias", "created", alias="challenger", version="5"), (), 5),
        (mlflow_event("model_version_alias", "created", alias="champion", version="5"), (), None),
        (mlflow_event("model_version_alias", "deleted", alias="challenger"), (), None),
        (mlflow_event("model_version", "created", version="5"), (), None),
        (mlflow_event("registered_model", "created"), (), None),
        (mlflow_event("model_version_tag", "set", key="ready", value="yes", version="5"), (), None),
        (mlflow_event("model_version_tag", "set", key="ready", value="yes", version="5"), ("tag:ready=yes",), 5),
        (mlflow_event("model_version_tag", "set", key="ready", value="no", version="5"), ("tag:ready=yes",), None),
        (mlflow_event("model_version_tag", "set", key="ready", value="no", version="5"), ("tag:ready",), 5),
        (mlflow_event("model_version_alias", "created", alias="challenger", version="5", name="other"), (), None),
    ],
)  # fmt: skip
def test_an_alias_or_tag_of_this_product_asks_for_that_version(
    tmp_path: Path, event: dict[str, Any], rules: tuple[str, ...], version: int | None
) -> None:
    hooks, hook = Hooks(tmp_path), new_hook("mlflow", PRODUCT, rules)
    hooks.keep(hook)
    headers, _ = hook.spoken.sample(PRODUCT, hook.rules, 1, START)
    found = taken(hooks, hook, *resigned(hook, headers, event))
    if version is None:
        assert isinstance(found, Nothing)
    else:
        assert (found.wish.version, found.wish.rule) == (version, hook.rules[0])


def test_mlflows_test_of_a_webhook_starts_nothing(tmp_path: Path) -> None:
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks.types import get_example_payload_for_event

    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    body = {
        "entity": event.entity.value,
        "action": event.action.value,
        "timestamp": START.isoformat(),
        "data": dict(get_example_payload_for_event(event)),
    }
    hooks = hooks_in(tmp_path, "mlflow")
    hook = hooks.find("mlflow", PRODUCT)
    headers, _ = hook.spoken.sample(PRODUCT, hook.rules, 1, START)
    assert isinstance(taken(hooks, hook, *resigned(hook, headers, body)), Nothing)


REPOSITORY = {"full_name": "acme/shop", "default_branch": "main", "pushed_at": int(START.timestamp())}
PUSH = {"ref": "refs/heads/main", "after": "0123456789", "repository": REPOSITORY}
RUN = {
    "conclusion": "success",
    "head_branch": "main",
    "head_repository": {"full_name": "acme/shop"},
    "head_sha": "0123456789",
    "updated_at": START.strftime("%Y-%m-%dT%H:%M:%SZ"),
}
MERGED = {
    "merged": True,
    "base": {"ref": "main"},
    "merge_commit_sha": "0123456789",
    "merged_at": START.strftime("%Y-%m-%dT%H:%M:%SZ"),
}


@pytest.mark.parametrize(
    ("rule", "event", "asks"),
    [
        ("push", PUSH, True),
        ("push", PUSH | {"ref": "refs/heads/topic"}, False),
        ("push", PUSH | {"ref": "refs/tags/main"}, False),
        ("push", PUSH | {"deleted": True}, False),
        ("merge", PUSH, False),
        ("push", {"zen": "Keep it logically awesome.", "hook_id": 1}, False),
        ("push", {"zen": "…", "repository": REPOSITORY}, False),
        ("merge", {"action": "closed", "pull_request": MERGED, "repository": REPOSITORY}, True),
        ("merge", {"action": "closed", "pull_request": MERGED | {"merged": False}, "repository": REPOSITORY}, False),
        ("merge", {"action": "opened", "pull_request": MERGED, "repository": REPOSITORY}, False),
        ("merge", {"action": "closed", "pull_request": MERGED | {"base": {"ref": "x"}},
                   "repository": REPOSITORY}, False),
        ("push", {"action": "closed", "pull_request": MERGED, "repository": REPOSITORY} | PUSH, False),
        ("workflow", {"action": "completed", "workflow_run": RUN, "repository": REPOSITORY}, True),
        ("workflow", {"action": "completed", "workflow_run": RUN | {"conclusion": "failure"},
                      "repository": REPOSITORY}, False),
        ("workflow", {"action": "requested", "workflow_run": RUN, "repository": REPOSITORY}, False),
        ("workflow", {"action": "completed", "workflow_run": RUN | {"head_repository": {"full_name": "evil/shop"}},
                      "repository": REPOSITORY}, False),
    ],
)  # fmt: skip
def test_what_succeeded_on_the_default_branch_asks_for_a_release(
    tmp_path: Path, rule: str, event: dict[str, Any], asks: bool
) -> None:
    hooks, hook = Hooks(tmp_path), new_hook("github", PRODUCT, (rule,))
    hooks.keep(hook)
    headers = {"x-github-delivery": "1", "x-github-event": "push"}
    found = taken(hooks, hook, *resigned(hook, headers, event))
    assert isinstance(found, Delivery) is asks


def test_a_repetition_of_githubs_under_another_id_is_the_same(tmp_path: Path) -> None:
    hooks = hooks_in(tmp_path, "github")
    hook = hooks.find("github", PRODUCT)
    headers, body = delivery(hook, START)
    first = taken(hooks, hook, headers, body)
    assert taken(hooks, hook, headers | {"x-github-delivery": "other"}, body).mark == first.mark
    assert taken(hooks, hook, *delivery(hook, START)).mark != first.mark


@pytest.mark.parametrize("odd", ["a\r\nset-cookie: x", "a b", "é", "", "x" * 129, "\x00"])
def test_an_id_that_could_forge_a_header_or_a_line_is_refused(hooks: Hooks, hook: Hook, odd: str) -> None:
    name = {"mlflow": "x-mlflow-delivery-id", "github": "x-github-delivery", "generic": "webhook-id"}[hook.source]
    headers, body = delivery(hook, START)
    headers, body = resigned(hook, headers | {name: odd}, body)
    with pytest.raises(NotTaken):
        taken(hooks, hook, headers, body)


def test_what_stands_in_a_signed_body_forges_no_line_of_a_log(tmp_path: Path) -> None:
    hooks = hooks_in(tmp_path, "github")
    hook = hooks.find("github", PRODUCT)
    branch = "x\r\n\x1b[2J\ud800" + "y" * 1000
    event = PUSH | {"ref": f"refs/heads/{branch}", "repository": REPOSITORY | {"default_branch": branch}}
    found = taken(hooks, hook, *resigned(hook, {"x-github-delivery": "1"}, event))
    assert found.wish.reason.isprintable()
    assert len(found.wish.reason) <= 200


@pytest.mark.parametrize(
    ("source", "rule"), [("mlflow", "challenger"), ("mlflow", "alias:"), ("github", "fork"), ("generic", "rollback")]
)
def test_a_rule_that_a_source_has_not_is_named(source: str, rule: str) -> None:
    with pytest.raises(BadInput, match=rule):
        new_hook(source, PRODUCT, (rule,))


def test_a_key_shows_in_no_representation(hook: Hook) -> None:
    assert hook.keys[0].secret not in repr(hook)


def test_a_files_content_is_what_was_kept_and_nobody_else_reads_it(tmp_path: Path, hook: Hook) -> None:
    hooks = Hooks(tmp_path / "keys")
    rotated = hook.rotated(datetime(2026, 1, 1, tzinfo=UTC))
    hooks.keep(rotated)
    assert list(Hooks(tmp_path / "keys").all()) == [rotated]
    path = tmp_path / "keys" / f"webhook-{hook.source}-{PRODUCT}"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(json.dumps({"keys": 1}))
    with pytest.raises(BadInput, match="is damaged"):
        hooks.find(hook.source, PRODUCT)
    path.chmod(0o644)
    with pytest.raises(BadInput, match="others may read"):
        Hooks(tmp_path / "keys").find(hook.source, PRODUCT)


def test_a_webhook_that_was_taken_away_is_not_found(hooks: Hooks, hook: Hook) -> None:
    hooks.remove(hooks.find(hook.source, PRODUCT))
    with pytest.raises(NotTaken):
        taken(hooks, hook, *delivery(hook, START))
