"""A real Prometheus that scrapes real model servers: what it tells is what they counted.

Its binary is `prometheus`, or what SEATRIAL_TEST_PROMETHEUS names; without one these tests are skipped.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.clock import SystemClock
from deployments.errors import MetricsUnreachable
from deployments.metrics.pod_prometheus import PrometheusCounters, TargetLabels
from deployments.metrics.prometheus_api import Prometheus
from tests.model_folder import write_model_folder
from tests.model_process import ServerProcess
from tests.ports import free_port

BINARY = shutil.which(os.environ.get("SEATRIAL_TEST_PROMETHEUS", "prometheus"))
pytestmark = pytest.mark.skipif(BINARY is None, reason="no prometheus: name one in SEATRIAL_TEST_PROMETHEUS")


@dataclass
class Scraped:
    """Model servers that a Prometheus scrapes every second, as it is told in a file."""

    folder: Path
    url: str
    running: dict[str, ServerProcess] = field(default_factory=dict)
    targets: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def start(self, pod: str, version: int) -> ServerProcess:
        """A server under that name; in place of the one that was killed, if there was one."""
        former = self.running.get(pod)
        model = self.folder / f"v{version}"
        if not model.exists():
            write_model_folder(model)
        self.running[pod] = server = ServerProcess(model, version, former and former.ports)
        labels = {"pod": pod, "seatrial_dev_product": "flights", "seatrial_dev_version": str(version)}
        self.targets[pod] = {"targets": [f"127.0.0.1:{server.users}"], "labels": labels}
        self.tell()
        return server

    def forget(self, pod: str) -> None:
        """It is scraped no longer."""
        del self.targets[pod]
        self.tell()

    def tell(self) -> None:
        written = self.folder / "targets.tmp"
        written.write_text(json.dumps(list(self.targets.values())))
        written.replace(self.folder / "targets.json")


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scraped]:
    port = free_port()
    scraped = Scraped(tmp_path, f"http://127.0.0.1:{port}")
    scraped.tell()
    files = {"files": [str(tmp_path / "targets.json")], "refresh_interval": "1s"}
    job = {"job_name": "models", "scrape_interval": "1s", "scrape_timeout": "1s", "file_sd_configs": [files]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    where = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command = [str(BINARY), *where, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    prometheus = subprocess.Popen(command, cwd=tmp_path)
    try:
        until(lambda: Prometheus(scraped.url).instant("vector(1)") != [], 30)
        yield scraped
    finally:
        for server in scraped.running.values():
            server.kill()
        prometheus.kill()
        prometheus.wait()


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(MetricsUnreachable):
            if holds():
                return
        assert time.monotonic() < end
        time.sleep(0.1)


def requests(found: Mapping[Source, Counts]) -> list[tuple[int, int]]:
    return sorted((source.version, counts.requests) for source, counts in found.items())


def test_what_real_servers_counted_is_told_by_a_real_prometheus(scraped: Scraped) -> None:
    counters = PrometheusCounters(scraped.url)
    assert counters.counts("flights") == {}
    stable, also, candidate = scraped.start("one", 1), scraped.start("other", 1), scraped.start("new", 2)
    assert stable.ask(stable.users, 5) + also.ask(also.paired, 3) == [200] * 8
    assert candidate.ask(candidate.copies, 4) == [200] * 4
    until(lambda: requests(counters.tallies("flights")) == [(1, 3), (1, 5), (2, 0)])
    until(lambda: requests(counters.copies("flights")) == [(1, 0), (1, 0), (2, 4)])
    told = {
        source.epoch.split()[1]: counts for source, counts in counters.counts("flights").items() if not source.mirrored
    }
    for pod, server in scraped.running.items():
        said = server.counts()
        users = said["users"]
        assert told[pod] == Counts(users["requests"], users["errors"], tuple(users["latency"]), said["predictions"])
    assert len(told["one"].latency) == len(LATENCY_BOUNDS_MS) + 1
    assert counters.in_flight("flights", 1) == 0
    assert counters.tallies("flight") == {}


def test_a_server_that_began_again_counts_from_zero_and_one_that_is_gone_not_at_all(scraped: Scraped) -> None:
    counters, clock = PrometheusCounters(scraped.url), SystemClock()
    server = scraped.start("one", 1)
    server.ask(server.users, 5)
    until(lambda: requests(counters.tallies("flights")) == [(1, 5)])
    before = Reading(clock.now(), counters.tallies("flights"))
    server.kill()
    until(lambda: counters.tallies("flights") == {})
    again = scraped.start("one", 1)
    again.ask(again.users, 2)
    until(lambda: requests(counters.tallies("flights")) == [(1, 2)])
    after = Reading(clock.now(), counters.tallies("flights"))
    assert after.since(before)[1].requests == 2
    scraped.forget("one")
    until(lambda: counters.tallies("flights") == {})


def test_a_query_that_prometheus_refuses_is_named(scraped: Scraped) -> None:
    with pytest.raises(MetricsUnreachable, match=r"fails on the query.*no good.*parse error"):
        PrometheusCounters(scraped.url, TargetLabels(product="no good")).counts("flights")
