from deployments.serving.metrics import ServerMetrics, predictions_as_text, process_as_text


def value_of(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.rpartition(" ")[0] == name]
    return float(line.rpartition(" ")[2])


def test_requests_are_counted_by_code_and_by_time() -> None:
    metrics = ServerMetrics()
    for code, seconds in ((200, 0.001), (200, 0.003), (422, 0.0001), (500, 60.0)):
        metrics.answered(code, seconds)
    text = metrics.as_text()
    assert value_of(text, 'seatrial_server_requests_total{code="200"}') == 2
    assert value_of(text, 'seatrial_server_requests_total{code="500"}') == 1
    assert value_of(text, 'seatrial_server_request_seconds_bucket{le="0.001"}') == 2
    assert value_of(text, 'seatrial_server_request_seconds_bucket{le="0.005"}') == 3
    assert value_of(text, 'seatrial_server_request_seconds_bucket{le="10.0"}') == 3
    assert value_of(text, 'seatrial_server_request_seconds_bucket{le="+Inf"}') == 4
    assert value_of(text, "seatrial_server_request_seconds_count") == 4
    assert value_of(text, "seatrial_server_request_seconds_sum") == 60.0041


def test_prometheus_own_parser_reads_it() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    metrics = ServerMetrics()
    metrics.answered(200, 0.01)
    metrics.rows += 3
    families = {family.name: family for family in text_string_to_metric_families(metrics.as_text())}
    assert families["seatrial_server_rows"].samples[0].value == 3
    assert families["seatrial_server_request_seconds"].type == "histogram"


def test_predictions_and_the_process_are_told_in_the_same_form_whatever_a_label_holds() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    label = 'a "b" \\ c\nd'
    text = predictions_as_text({label: 2, "0.1..0.2": 3}) + process_as_text("flights", "3", "linear", 1.5)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {sample.labels["predicted"]: sample.value for sample in families["seatrial_server_predictions"].samples}
    assert counted == {label: 2, "0.1..0.2": 3}
    assert families["seatrial_server_info"].samples[0].labels == {
        "product": "flights",
        "version": "3",
        "compiled": "linear",
    }
    assert families["seatrial_server_load_seconds"].samples[0].value == 1.5
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
