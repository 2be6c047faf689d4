"""What servers predicted, joined to what the gateway says of users with a key."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from deployments.analysis.counter_deltas import Heard, Mark
from deployments.analysis.user_metrics import Outcome
from deployments.metrics.model_servers import Ask
from deployments.metrics.user_predictions import KeyedPredictions
from deployments.serving.recent_by_user import KeyedAnswers, hashed

YES: Mapping[str, float] = {"yes": 0.75, "no": 0.25}


@dataclass
class Server:
    """Answers as `deployments.serving.management_api` does."""

    epoch: str = "e1"
    keyed: KeyedAnswers = field(default_factory=KeyedAnswers)
    silent: bool = False
    asked: int = 0

    def answer(self, *requests: str, predicted: Mapping[str, float] = YES) -> None:
        for request in requests:
            self.keyed.keep(request, b"ann", not predicted, 3, None, predicted)

    def tell(self, path: str) -> tuple[int, bytes]:
        self.asked += 1
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(path).query).items()}
        assert urlsplit(path).path == "/seatrial/users"
        answers, dropped = self.keyed.after(query["after"], query["limit"])
        rows = [
            [each.number, each.request_id, hashed(each.key, b""), each.failed, each.latency, None, each.predicted]
            for each in answers
        ]
        told = {"epoch": self.epoch, "last": self.keyed.last, "answers": rows, "dropped": dropped}
        return (500, b"") if self.silent else (200, json.dumps(told).encode())


def asking(**servers: Server) -> tuple[KeyedPredictions, Ask]:
    def ask(address: str, path: str) -> tuple[int, bytes]:
        return servers[address].tell(path)

    def known(_product: str) -> Mapping[int, Sequence[str]]:
        return {1: tuple(servers)}

    return KeyedPredictions(known, ask), ask


def completed(predictions: KeyedPredictions, *requests: str) -> list[Mapping[str, float]]:
    outcomes = tuple(Outcome(1, "user") for _ in requests)
    heard = predictions.complete("shop", Heard(Mark(), outcomes, requests=requests))
    return [each.predicted for each in heard.outcomes]


def test_each_request_gets_what_its_server_predicted() -> None:
    one, other = Server(), Server()
    predictions, _ = asking(one=one, other=other)
    predictions.begin("shop")
    one.answer("a")
    other.answer("b", predicted={"no": 1.0})
    assert completed(predictions, "a", "b", "c") == [YES, {"no": 1.0}, {}]


def test_what_the_server_told_before_the_line_was_written_is_kept_and_used_once() -> None:
    server = Server()
    predictions, _ = asking(one=server)
    predictions.begin("shop")
    server.answer("a", "b")
    assert completed(predictions, "a") == [YES]
    assert completed(predictions, "b", "a") == [YES, {}]


def test_what_was_answered_before_the_beginning_does_not_matter() -> None:
    server = Server()
    server.answer("a")
    predictions, _ = asking(one=server)
    predictions.begin("shop")
    assert completed(predictions, "a") == [{}]


def test_many_answers_are_read_in_pages_and_a_server_that_began_again_whole() -> None:
    server = Server()
    predictions, _ = asking(one=server)
    predictions.begin("shop")
    names = [f"r{number}" for number in range(5000)]
    server.answer(*names)
    assert completed(predictions, *names) == [YES] * 5000
    server.epoch, server.keyed = "e2", KeyedAnswers()
    server.answer("x")
    assert completed(predictions, "x") == [YES]


def test_a_server_that_does_not_answer_is_left_out() -> None:
    server, silent = Server(), Server(silent=True)
    predictions, _ = asking(silent=silent, one=server)
    predictions.begin("shop")
    server.answer("a")
    silent.answer("b")
    assert completed(predictions, "a", "b") == [YES, {}]


def test_where_nobody_has_a_key_no_server_is_asked() -> None:
    server = Server()
    predictions, _ = asking(one=server)
    predictions.begin("shop")
    before = server.asked
    assert completed(predictions) == []
    assert server.asked == before
