"""Deliveries that must not be accepted, each made of a good one in a way that is drawn."""

import json
import random
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.unit.deployments.webhooks.deliveries import SOURCE_NAMES, delivery, signed
from tests.unit.flows.webhook_scene import Answer, Scene

PRODUCTS = ("shop", "other")
_SECRET = {"mlflow": "x-mlflow-signature", "github": "x-hub-signature-256", "generic": "webhook-signature"}
_IDS = {"mlflow": "x-mlflow-delivery-id", "github": "x-github-delivery", "generic": "webhook-id"}
_TIMES = {"mlflow": "x-mlflow-timestamp", "generic": "webhook-timestamp"}


@dataclass
class Made:
    """One delivery; `scene.ask` takes it."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes
    more: dict[str, Any] = field(default_factory=dict)


class Fuzz:
    """`seed` draws everything. What is accepted once by the good ones is replayed later."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.random = scene, random.Random(seed)
        self.replays: list[Made] = []
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[tuple[str, Made, Answer]] = []

    async def begin(self) -> None:
        """One good delivery of each webhook is accepted: whoever refuses everything passes no test."""
        for source in SOURCE_NAMES:
            for product in PRODUCTS:
                made = self._good(source, product)
                answer = await self.scene.ask(made.path, made.headers, made.body)
                assert answer.status == 202, (source, answer)
                self.replays.append(made)

    async def run(self, count: int) -> None:
        for _ in range(count):
            attack = self.random.choice(ATTACKS)
            made = attack(self)
            answer = await self.scene.ask(made.path, made.headers, made.body, **made.more)
            self.counts[attack.__name__] += 1
            self.statuses[answer.status] += 1
            told = str(answer)
            leaks = any(key.secret in told for hook in self.scene.hooks.all() for key in hook.keys)
            if answer.status == 202 or answer.status >= 500 or leaks:
                self.wrong.append((attack.__name__, made, answer))

    def _good(self, source: str | None = None, product: str | None = None, away: float = 0.0) -> Made:
        hook = self.scene.hook(source or self.random.choice(SOURCE_NAMES), product or self.random.choice(PRODUCTS))
        headers, body = delivery(hook, self.scene.clock.now() + timedelta(seconds=away))
        return Made(hook.path, list(headers.items()), body)

    def _resigned(self, body: bytes, source: str | None = None) -> Made:
        """What the holder of the key signs."""
        made = self._good(source)
        hook = self.scene.hook(*made.path.split("/")[3:])
        headers = {name: value for name, value in made.headers if name != _SECRET[hook.source]}
        return Made(made.path, list(signed(hook, headers, body).items()), body)


def flipped_bit(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    place, bit = fuzz.random.randrange(len(made.body)), 1 << fuzz.random.randrange(8)
    made.body = made.body[:place] + bytes([made.body[place] ^ bit]) + made.body[place + 1 :]
    return made


def other_signature(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    letters = string.ascii_letters + string.digits + "+/=,. "
    drawn = "".join(fuzz.random.choices(letters, k=fuzz.random.choice([0, 1, 10, 44, 64, 1000])))
    prefix = fuzz.random.choice(["", "v1,", "v1", "v2,", "sha256=", "sha1=", "v1a,"])
    made.headers = [(n, f"{prefix}{drawn}" if n in _SECRET.values() else v) for n, v in made.headers]
    return made


def cut_signature(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    cut = fuzz.random.randrange(1, 40)
    made.headers = [(n, v[:-cut] if n in _SECRET.values() else v) for n, v in made.headers]
    return made


def missing_header(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    del made.headers[fuzz.random.randrange(len(made.headers))]
    return made


def header_twice(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    name, value = fuzz.random.choice(made.headers)
    made.headers.insert(0, (name, fuzz.random.choice([value, "", "x"])))
    return made


def other_key(fuzz: Fuzz) -> Made:
    made = fuzz._good(product="shop")
    source = made.path.split("/")[3]
    hook = fuzz.scene.hook(source, "shop")
    wrong = fuzz.random.choice([fuzz.scene.hook(source, "other").keys[0].secret, hook.spoken.draw_key()])
    headers, body = delivery(hook, fuzz.scene.clock.now(), secret=wrong)
    return Made(made.path, list(headers.items()), body)


def other_product(fuzz: Fuzz) -> Made:
    made = fuzz._good(product="shop")
    name = fuzz.random.choice(["other", "nope", "Shop", "shop%2f..", "..", "shop;x=y", "shop\x00", "é", "a" * 300])
    made.path = "/".join([*made.path.split("/")[:4], name])
    return made


def other_source(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    parts = made.path.split("/")
    others = [name for name in (*SOURCE_NAMES, "gitlab", "..", "MLFLOW", "") if name != parts[3]]
    made.path = "/".join([*parts[:3], fuzz.random.choice(others), parts[4]])
    return made


def replayed(fuzz: Fuzz) -> Made:
    made = fuzz.random.choice(fuzz.replays)
    return Made(made.path, list(made.headers), made.body)


def replayed_under_another_id(fuzz: Fuzz) -> Made:
    made = replayed(fuzz)
    drawn = f"{fuzz.random.getrandbits(64):x}"
    made.headers = [(n, drawn if n in _IDS.values() else v) for n, v in made.headers]
    return made


def replayed_with_another_time(fuzz: Fuzz) -> Made:
    made = fuzz._good(fuzz.random.choice(["mlflow", "generic"]))
    later = fuzz.random.choice(["1", "0", " ", ".0", "e1", "-"])
    made.headers = [(n, v + later if n in _TIMES.values() else v) for n, v in made.headers]
    return made


def late_or_early(fuzz: Fuzz) -> Made:
    source = fuzz.random.choice(SOURCE_NAMES)
    patience = 3 * 86400 if source == "github" else 300
    away = -patience - fuzz.random.uniform(1, 10**6)
    return fuzz._good(source, away=fuzz.random.choice([away, fuzz.random.uniform(301, 10**6)]))


def oversized(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    said = fuzz.random.choice(["1048577", "9" * 20, str(2**31), "-1", "1e3", "", "0x10", "¹"])
    made.headers.append(("content-length", said))
    return made


def longer_than_said(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    made.headers.append(("content-length", str(len(made.body) - fuzz.random.randrange(1, 10))))
    return made


def truncated(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    if fuzz.random.random() < 0.5:
        made.more["cut"] = fuzz.random.randrange(len(made.body))
        return made
    made.body = made.body[: fuzz.random.randrange(len(made.body))]
    return made


def nested(fuzz: Fuzz) -> Made:
    deep = fuzz.random.choice([33, 40, 1000, 100_000])
    opened, closed = fuzz.random.choice([(b'{"a":', b"}"), (b"[", b"]")])
    closing = closed * fuzz.random.choice([deep, 0])
    return fuzz._resigned(b'{"type":"release","data":' + opened * deep + b"1" + closing + b"}")


def same_key_twice(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    source = made.path.split("/")[3]
    text = made.body.decode()
    name = fuzz.random.choice(list(json.loads(text)))
    again = json.dumps({name: json.loads(text)[name]})[1:-1]
    if fuzz.random.random() < 0.5:  # the same name, spelled otherwise
        again = again.replace(f'"{name[0]}', f'"\\u{ord(name[0]):04x}', 1)
    return fuzz._resigned(f"{{{again}, {text[1:]}".encode(), source)


def no_json(fuzz: Fuzz) -> Made:
    odd = [b"", b"null", b"1", b'"release"', b"[]", b"{", b"{}x", b"NaN", b'{"type":NaN}', b"{'type':'release'}"]
    return fuzz._resigned(
        fuzz.random.choice([*odd, b"type=release", b'{"type":1e999999}', b'{"a":' + b"9" * 5000 + b"}"])
    )


def other_wish(fuzz: Fuzz) -> Made:
    odd: list[Any] = [
        None,
        1,
        -1,
        1.5,
        True,
        [],
        {},
        "rollback",
        "../../etc/passwd",
        "os.system",
        "3; DROP TABLE",
        "x" * 500,
    ]
    pick = fuzz.random.choice
    body = pick(
        [
            {"type": pick(odd)},
            {"type": "rollout", "data": {"version": pick(odd[:6])}} if odd else {},
            {"type": "release", "data": {"product": pick(odd[6:])}},
            {"type": "release", "data": {pick(["path", "module", "query", "version", "code"]): pick(odd)}},
            {"type": "release", pick(["entrypoint", "deployment", "parameters"]): pick(odd)},
            {"entity": pick(odd), "action": pick(odd), "data": pick(odd)},
            {"repository": pick(odd), "ref": pick(odd), "pull_request": pick(odd)},
        ]
    )
    if body == {"type": "rollout", "data": {"version": 1}}:
        body = {"type": "rollout"}
    return fuzz._resigned(json.dumps(body).encode())


def other_form(fuzz: Fuzz) -> Made:
    made = fuzz._good()
    pick = fuzz.random.randrange(5)
    if pick == 0:
        made.headers.append(
            ("content-type", fuzz.random.choice(["text/plain", "", "application/x-www-form-urlencoded"]))
        )
    elif pick == 1:
        made.path += fuzz.random.choice(["?product=other", "?", "/", "/x", "?a=%00"]) or "/"
        made.path = made.path.removesuffix("?") or made.path
        if "?" not in made.path and made.path.count("/") == 4:
            made.path += "/"
    elif pick == 2:
        made.more["method"] = fuzz.random.choice(["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE"])
    elif pick == 3:
        made.headers.append(("origin", fuzz.random.choice(["null", "http://evil.example", "http://127.0.0.1:8080"])))
    else:
        made.headers.append(("sec-fetch-site", fuzz.random.choice(["cross-site", "same-origin", "none"])))
    return made


def forged_id(fuzz: Fuzz) -> Made:
    source = fuzz.random.choice(SOURCE_NAMES)
    hook = fuzz.scene.hook(source)
    headers, body = hook.spoken.sample(hook.product, hook.rules, 3, fuzz.scene.clock.now())
    odd = fuzz.random.choice(["a\r\nset-cookie: x=1", "a\nb", "a b", "\x1b[2J", "<script>", "x" * 200, "a\x00"])
    headers = {**headers, _IDS[source]: odd}
    return Made(hook.path, list(signed(hook, headers, body).items()), body)


ATTACKS: tuple[Callable[[Fuzz], Made], ...] = (
    flipped_bit, other_signature, cut_signature, missing_header, header_twice, other_key, other_product, other_source,
    replayed, replayed_under_another_id, replayed_with_another_time, late_or_early, oversized, longer_than_said,
    truncated, nested, same_key_twice, no_json, other_wish, other_form, forged_id,
)  # fmt: skip
