import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.serving.prometheus_metrics import ServerMetrics, predictions_as_text, process_as_text

NONE = [0] * (len(LATENCY_BOUNDS_MS) + 1)


def at(bound: int, count: int = 1) -> list[int]:
    return [count if each == bound else 0 for each in (*LATENCY_BOUNDS_MS, 0)]


def value_of(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.rpartition(" ")[0] == name]
    return float(line.rpartition(" ")[2])


def test_requests_are_counted_by_code_and_by_time() -> None:
    metrics = ServerMetrics()
    for code, seconds in ((200, 0.001), (200, 0.003), (422, 0.0001), (500, 60.0)):
        metrics.keyless.add(code, seconds)
    text = metrics.as_text()
    assert value_of(text, 'seatrial_server_requests_total{code="200",mirrored="false"}') == 2
    assert value_of(text, 'seatrial_server_requests_total{code="500",mirrored="false"}') == 1
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="false",le="0.001"}') == 2
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="false",le="0.005"}') == 3
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="false",le="10.0"}') == 3
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="false",le="+Inf"}') == 4
    assert value_of(text, 'seatrial_server_request_seconds_count{mirrored="false"}') == 4
    assert value_of(text, 'seatrial_server_request_seconds_sum{mirrored="false"}') == 60.0041


def test_copies_are_counted_apart_from_what_users_asked() -> None:
    metrics = ServerMetrics()
    metrics.keyless.add(200, 0.001)
    metrics.copies.add(500, 0.1)
    text = metrics.as_text()
    assert 'seatrial_server_requests_total{code="500",mirrored="false"}' not in text
    assert value_of(text, 'seatrial_server_requests_total{code="500",mirrored="true"}') == 1
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="true",le="0.075"}') == 0
    assert value_of(text, 'seatrial_server_request_seconds_bucket{mirrored="true",le="0.1"}') == 1


def test_a_request_whose_client_went_away_has_a_code_and_no_time() -> None:
    metrics = ServerMetrics()
    metrics.keyless.add(499, 0.5)
    assert value_of(metrics.as_text(), 'seatrial_server_requests_total{code="499",mirrored="false"}') == 1
    assert value_of(metrics.as_text(), 'seatrial_server_request_seconds_count{mirrored="false"}') == 0
    assert metrics.users.told() == {"requests": 0, "errors": 0, "latency": NONE, "given_up": NONE}


def test_every_answer_is_told_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    metrics = ServerMetrics()
    for bound in LATENCY_BOUNDS_MS:
        metrics.keyless.add(200, bound / 1000)
    metrics.keyless.add(503, 10.001)
    assert metrics.users.told() == {"requests": 19, "errors": 1, "latency": [1] * len(NONE), "given_up": NONE}


def test_what_was_given_up_is_told_by_the_age_that_it_had_and_is_no_answer() -> None:
    metrics = ServerMetrics()
    metrics.keyless.add(200, 0.002)
    for seconds in (0.001, 0.9, 1.0, 10.001):
        metrics.keyless.give_up(seconds)
    told = metrics.users.told()
    assert told == {"requests": 5, "errors": 0, "latency": at(2), "given_up": [1, *at(1000, 2)[1:-1], 1]}
    text = metrics.as_text()
    assert value_of(text, 'seatrial_server_requests_total{code="499",mirrored="false"}') == 4
    assert value_of(text, 'seatrial_server_given_up_seconds_bucket{mirrored="false",le="1.0"}') == 3
    assert value_of(text, 'seatrial_server_given_up_seconds_bucket{mirrored="false",le="+Inf"}') == 4
    assert value_of(text, 'seatrial_server_given_up_seconds_sum{mirrored="false"}') == 11.902
    assert value_of(text, 'seatrial_server_given_up_seconds_count{mirrored="true"}') == 0


@pytest.mark.parametrize(("code", "errors"), [(200, 0), (503, 1), (None, 1)])
def test_one_that_is_slower_than_every_bound_counts_once_before_it_is_over_and_by_how_it_ends_after(
    code: int | None, errors: int
) -> None:
    metrics = ServerMetrics()
    metrics.keyless.grow_late()
    assert metrics.users.told() == {"requests": 1, "errors": 0, "latency": [*NONE[1:], 1], "given_up": NONE}
    if code is None:
        metrics.keyless.give_up(12.0, late=True)
    else:
        metrics.keyless.add(code, 12.0, late=True)
    assert metrics.users.told() == {"requests": 1, "errors": errors, "latency": [*NONE[1:], 1], "given_up": NONE}
    assert f'code="{code or 504}"' in metrics.as_text()


def test_the_start_of_the_process_does_not_move_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    before = value_of(process_as_text("flights", "3", "", 1.5), "process_start_time_seconds")
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 1.0)
    assert value_of(process_as_text("flights", "3", "", 1.5), "process_start_time_seconds") == before > 1e9


def test_prometheus_own_parser_reads_it() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    metrics = ServerMetrics()
    metrics.keyless.add(200, 0.01)
    metrics.rows += 3
    families = {family.name: family for family in text_string_to_metric_families(metrics.as_text())}
    assert families["seatrial_server_rows"].samples[0].value == 3
    assert families["seatrial_server_request_seconds"].type == "histogram"


def test_predictions_and_the_process_are_told_in_the_same_form_whatever_a_label_holds() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    label = 'a "b" \\ c\nd'
    text = predictions_as_text({label: 2, "0.1..0.2": 1 / 3}) + process_as_text("flights", "3", "linear", 1.5)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {sample.labels["predicted"]: sample.value for sample in families["seatrial_server_predicted"].samples}
    assert counted == {label: 2, "0.1..0.2": 1 / 3}
    assert families["seatrial_server_info"].samples[0].labels == {
        "product": "flights",
        "version": "3",
        "compiled": "linear",
    }
    assert families["seatrial_server_load_seconds"].samples[0].value == 1.5
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
