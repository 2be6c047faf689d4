import json
import socket
import threading
from datetime import UTC, datetime

import pytest

from deployments.errors import MetricsUnreachable, TargetUnreachable
from deployments.metrics.model_servers import ServerCounts, answers_of, keyed_answers_of
from tests.model_fleet import Fleet


def predictions(found: object, version: int) -> list[dict[str, float]]:
    assert isinstance(found, dict)
    return [
        dict(counts.predictions) for source, counts in found.items() if source.version == version and not source.keyed
    ]


def test_each_server_is_a_source_of_its_own(fleet: Fleet) -> None:
    one, other = fleet.start(1, "a.sock"), fleet.start(1, "b.sock")
    assert (one.ask(5.0, 5.0), other.ask(-5.0)) == (200, 200)
    assert fleet.start(2).ask(None) == 500  # not a number
    found = ServerCounts(fleet.servers).counts("shop")
    assert sorted(predictions(found, 1), key=str) == [{"-5.66..-4.76": 1}, {"4.76..5.66": 1}]
    assert predictions(found, 2) == [{}]
    assert len(found) == 2 * 3


def test_what_users_with_a_key_got_is_a_source_of_its_own(fleet: Fleet) -> None:
    server = fleet.start(1, labels=True)
    for number, key in ((0.0, None), (1.0, "ann"), (1.0, None)):
        server.ask(number, key=key)
    found = {source.keyed: counts.predictions for source, counts in ServerCounts(fleet.servers).counts("shop").items()}
    assert found == {False: {"no": 1, "yes": 1}, True: {"yes": 1}}


def test_of_a_server_that_does_not_tell_them_apart_nobody_counts_as_many() -> None:
    def old(_address: str, _path: str) -> tuple[int, bytes]:
        told = {
            "epoch": "e",
            "began": "2026-01-01T00:00:00+00:00",
            "predictions_of": "requests",
            "predictions": {"a": 9},
        }
        return 200, json.dumps(told).encode()

    found = ServerCounts(lambda _: {1: ("it",)}, old).counts("shop")
    assert {source.keyed: dict(counts.predictions) for source, counts in found.items()} == {False: {}, True: {"a": 9.0}}


def test_a_server_that_does_not_answer_is_left_out_and_nobody_else(fleet: Fleet) -> None:
    dead, alive = fleet.start(1), fleet.start(2)
    alive.ask(1.0)
    fleet.stop(dead)
    found = ServerCounts(fleet.servers).counts("shop")
    assert predictions(found, 1) == []
    assert predictions(found, 2) == [{"1..1.19": 1}]


def test_a_restarted_server_is_another_source(fleet: Fleet) -> None:
    server = fleet.start(1)
    before, _ = ServerCounts(fleet.servers).counts("shop")
    fleet.stop(server)
    fleet.start(1)
    after, _ = ServerCounts(fleet.servers).counts("shop")
    assert (before.version, before.epoch != after.epoch) == (after.version, True)


def test_a_server_tells_since_when_it_counts(fleet: Fleet) -> None:
    before = datetime.now(UTC)
    fleet.start(1)
    source, _ = ServerCounts(fleet.servers).counts("shop")
    assert source.began is not None
    assert before < source.began < datetime.now(UTC)


def test_nobody_to_ask_is_nothing_counted_and_not_an_error() -> None:
    assert ServerCounts(lambda _: {}).counts("shop") == {}
    assert ServerCounts(lambda _: {3: ()}).counts("shop") == {}


def test_not_knowing_which_servers_there_are_is_told() -> None:
    def unknown(_: str) -> dict[int, tuple[str, ...]]:
        raise TargetUnreachable("supervisord does not answer")

    with pytest.raises(TargetUnreachable):
        ServerCounts(unknown).counts("shop")


@pytest.mark.parametrize("address", ["/nobody/listens/here.sock", "127.0.0.1:1"])
def test_nobody_there_is_told_with_the_address_and_the_next_step(address: str) -> None:
    with pytest.raises(MetricsUnreachable, match=f"{address}.*seatrial status"):
        answers_of(address, 0, 1)


ANSWERS = [
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",  # a server of Seatrial before it counted
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
    b'HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\n{"epoch": "e", "predictions": [1, 2]} ',
    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope",
    b"SSH-2.0\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_whoever_answers_otherwise_is_no_model_server(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def speak() -> None:
            for _ in range(2):
                caller, _ = listener.accept()
                with caller:
                    caller.recv(10_000)
                    caller.sendall(answer)

        speaking = threading.Thread(target=speak)
        speaking.start()
        assert ServerCounts(lambda _: {1: (address,)}).counts("shop") == {}
        with pytest.raises(MetricsUnreachable, match=address):
            answers_of(address, 0, 1)
        speaking.join()


def test_answers_come_with_what_was_predicted_and_where_to_go_on(fleet: Fleet) -> None:
    server = fleet.start(1, labels=True)
    server.ask(1.0, 0.0, request_id="a", header="paired")
    server.ask(2.0, request_id="b", header="mirrored")
    first = answers_of(server.address, 0, 1)
    assert [(each.request_id, each.mirrored, each.predicted) for each in first.answers] == [("a", False, ("yes", "no"))]
    assert (first.last, first.next) == (2, 1)
    second = answers_of(server.address, first.next, 1)
    assert [(each.request_id, each.mirrored, each.predicted) for each in second.answers] == [("b", True, ("maybe",))]
    assert answers_of(server.address, second.next, 1).answers == ()


def test_what_users_with_a_key_got_comes_with_a_hash_of_the_key_and_where_to_go_on(fleet: Fleet) -> None:
    server = fleet.start(1, labels=True)
    for key, rows in (("ann", (0.0, 1.0, 1.0, 1.0)), (None, (1.0,)), ("bob", (2.0,)), ("ann", (3.0,))):
        server.ask(*rows, request_id=f"of {key}".replace(" ", "-"), key=key)
    first = keyed_answers_of(server.address, 0, 2, "salt")
    [ann, bob] = first.answers
    assert (ann.request_id, ann.failed, ann.given_up, ann.predicted) == (
        "of-ann",
        False,
        None,
        {"no": 0.25, "yes": 0.75},
    )
    assert (bob.predicted, first.last, first.next, first.dropped) == ({"maybe": 1.0}, 3, 2, 0)
    [again] = keyed_answers_of(server.address, first.next, 2, "salt").answers
    assert (again.user, again.failed, again.predicted) == (ann.user, True, {})
    assert bob.user != ann.user
    [other] = keyed_answers_of(server.address, 0, 1, "pepper").answers
    assert other.user != ann.user
    assert keyed_answers_of(server.address, 3, 2, "salt").answers == ()


def test_predictions_of_a_server_that_counts_rows_are_not_mixed_with_those_of_requests(fleet: Fleet) -> None:
    old = {"epoch": "e", "began": "2026-01-01T00:00:00+00:00", "predictions": {"yes": 200}}
    found = ServerCounts(lambda _: {1: ("old",)}, lambda *_: (200, json.dumps(old).encode())).counts("shop").values()
    assert [counts.predictions for counts in found] == [{}, {}]
