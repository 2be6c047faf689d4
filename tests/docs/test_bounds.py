"""What docs/security.md, docs/operations.md and docs/serving.md claim of bounds and logins."""

import argparse
import json
import os
import re
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.account_isolation import restrict_new_files
from deployments.routers.envoy.config_files import EnvoyFiles
from deployments.routers.envoy.listener import bootstrap
from deployments.routers.envoy.overload import HEAP_BYTES, MAX_CONNECTIONS, MAX_OF_A_GROUP
from deployments.routers.envoy.upload_concurrency import AT_ONCE, MAX_BODY_BYTES, SMALL_BYTES, WAITING, WAYS
from deployments.routers.envoy.user_log_reader import MOST_BYTES
from deployments.serving import graceful_server, http_protocol, memory_budget, offload, recent_by_user
from deployments.serving import main as program
from deployments.serving.inference_log.buffer import LONGEST_KEY, Bounds
from deployments.serving.inference_log.options import LogOptions
from deployments.serving.inference_log.writer_thread import PART_ROWS
from deployments.serving.prediction_threads import MOST_THREADS
from deployments.spec import ServerSection
from deployments.uvicorn_limits import BoundedConnection
from deployments.web_login.middleware import Door
from deployments.web_login.password import basic_header
from deployments.web_login.sessions import SESSION_LASTS, TICKET_LASTS
from tests.architecture.test_documentation import rows
from tests.docs.claims import claim
from tests.docs.pages import ROOT
from tests.unit.deployments.web_login.test_middleware import PASSWORD, Client, clock, door

__all__ = ["clock", "door"]
MIB = 1024 * 1024


@claim(
    "docs/security.md",
    "It takes 5,000 connections, 2,000 of them from one address (addresses are told apart by a hash into sixteen "
    "groups).",
    "Headers must come within 10 s, a whole request within 60 s.",
    "Bodies of at most 64 KiB are held as they come;",
    "of which 32 bodies of at most 8 MiB are held at a time and 224 more wait; further ones get 503",
    "Should the heap come near 1 GiB all the same,",
    "HTTP/1.0 is answered in its own way (nginx as a proxy and `ab` speak it).",
)
@claim(
    "docs/operations.md",
    "a client holds all 2,000 connections of the gateway that one address gets, or clients together all 5,000 |",
    "idle ones are closed after 75 s;",
    "8 of those that come by the same way (a quarter of all addresses) are read at a time, 56 wait, others get 503; "
    "an upload has 60 s;",
    "at most 32 MB, gone one to two hours after the split |",
)
def test_the_gateway_has_the_bounds_of_the_pages(tmp_path: Path) -> None:
    told = bootstrap(EnvoyFiles(tmp_path, tmp_path), "127.0.0.1", 18080)
    first, uploads = told["static_resources"]["listeners"]
    text = json.dumps(first)
    assert (MAX_CONNECTIONS, MAX_OF_A_GROUP, HEAP_BYTES) == (5000, 2000, 1024 * MIB)
    assert len(first["filter_chains"]) == 16
    for setting in ('"request_headers_timeout": "10s"', '"request_timeout": "60s"', '"idle_timeout": "75s"'):
        assert setting in text
    assert '"accept_http_10": true' in text
    assert (SMALL_BYTES, MAX_BODY_BYTES, AT_ONCE, WAYS * WAITING) == (64 * 1024, 8 * MIB, 32, 224)
    assert (WAYS, AT_ONCE // WAYS, WAITING) == (4, 8, 56)
    assert uploads["address"]["pipe"]["mode"] == 0o600
    assert 2 * MOST_BYTES == 32 * MIB


@claim(
    "docs/security.md",
    "The pages of Prefect and MLflow and the control service take 1,000 connections each.",
    "A head has 64 KiB and 10 s, and so has the rest of a body that is refused:",
    "a frame has 2 MiB",
)
def test_the_pages_have_the_bounds_of_the_page() -> None:
    from deployments import uvicorn_limits

    assert (BoundedConnection.most, BoundedConnection.asking_seconds) == (1000, 10.0)
    assert uvicorn_limits._LARGEST_FRAME == 2 * MIB


@claim(
    "docs/security.md",
    "| `Host` | any name but `127.0.0.1`, `localhost` and `[::1]` with the server's own port (403) | DNS rebinding |",
    "a link that is followed is let in (403) |",
    "| who | no session and no password, as Basic (`seatrial` and the password) or Bearer (401) | other accounts |",
    "`/api/health` and `/api/ready` answer everybody |",
)
def test_the_door_asks_in_the_order_of_the_page(door: Door) -> None:
    client = Client(door)
    shown = {"authorization": basic_header(PASSWORD)}
    for host, code in (
        ("127.0.0.1:4200", 401),
        ("localhost:4200", 401),
        ("127.0.0.1", 403),
        ("evil.example:4200", 403),
    ):
        assert client.get("/api/flows", headers={"host": host}).status_code == code
    for page in (
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8080"},
        {"sec-fetch-site": "cross-site"},
    ):
        assert client.get("/api/flows", headers=shown | page).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=shown | followed).status_code == 200
    assert client.get("/api/flows", headers=shown).status_code == 200
    assert client.get("/api/flows", headers={"authorization": f"Bearer {PASSWORD}"}).status_code == 200
    assert client.get("/api/health").status_code == 200


@claim("docs/operations.md", "A login lasts twelve hours.", "prints an address that logs in once, within a minute;")
@claim("docs/security.md", "the ticket in it is good once, for a minute |")
def test_logins_last_as_long_as_the_pages_say() -> None:
    assert (timedelta(hours=12), timedelta(minutes=1)) == (SESSION_LASTS, TICKET_LASTS)


@claim("docs/security.md", "Processes of Seatrial write with umask 077.")
def test_new_files_are_the_owners(tmp_path: Path) -> None:
    former = os.umask(0o022)
    try:
        restrict_new_files()
        (tmp_path / "new").write_text("")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


@claim("docs/serving.md", "Each is a flag of the server and a field of the spec ([all of them](spec.md#rollout)).")
def test_every_limit_is_a_flag_and_a_field() -> None:
    parser = argparse.ArgumentParser()
    program._add_limits(parser)
    flags = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
    told = list(rows(ROOT / "docs/serving.md", "flag"))
    limits = [row for row in told if "port" not in row[0]]
    assert {flag for row in limits for flag in re.findall(r"`(--[a-z-]+)`", row[0])} == flags
    fields = {name for row in limits for name in re.findall(r"`([a-z_.]+)(?::[^`]*)?`", row[1])}
    limits_of: Any = ServerSection.model_fields["limits"].annotation
    known = {f"limits.{name}" for name in limits_of.model_fields} | set(ServerSection.model_fields)
    assert fields <= known


@claim(
    "docs/serving.md",
    "| bodies of more than 64 KiB, together | 32 MiB |",
    "as far as its brackets, quotes and commas tell, before anything is | 120 MiB | 413 |",
    "| what is made of large bodies at once, together with what a model has in hand | 144 MiB |",
    "| rows × columns, and rows × classes, of one request | 2,097,152, and 1,048,576 | 413 |",
    "| headers of a request; columns of a CSV | 256; 100,000 | 431; 422 |",
    "| answers kept for comparison | 20,000, of 200,000 rows |",
    "| rows on their way to the inference log | 48 MiB, counted as memory | not logged |",
    "a head may have 64 KiB; so may trailers, which are ignored,",
    "Up to 128 requests may be pipelined; who sends more at once is hung up on.",
)
@claim("docs/security.md", "| memory of the inference log | 48 MiB, counted as it is taken |")
@claim(
    "docs/operations.md",
    "It keeps up to 500,000 rows or 48 MiB of memory,",
    "A key of more than 256 characters is not logged.",
    "takes at most `size` (5 GiB):",
    "A server adds at most `rate` (2 MiB) a second, averaged over half a minute;",
    "An answer is on the disk within `flush`, or when there are 50,000 rows;",
)
def test_the_server_has_the_bounds_of_the_pages() -> None:
    from deployments.serving.codecs import csv_rows
    from deployments.serving.inference_log import buffer
    from deployments.serving.recent_mirrored import _MOST_VALUES, KEPT

    assert (memory_budget.SMALL_BYTES, memory_budget._BODIES) == (64 * 1024, 32 * MIB)
    assert (memory_budget.MOST_MADE, memory_budget.MOST_TOGETHER) == (120 * MIB, 144 * MIB)
    assert (memory_budget._MOST_CELLS, memory_budget._MOST_NUMBERS) == (2_097_152, 1_048_576)
    assert (http_protocol._MOST_HEADERS, csv_rows._MOST_COLUMNS) == (256, 100_000)
    assert (http_protocol._LONGEST_HEAD, http_protocol._MOST_IN_LINE) == (64 * 1024, 128)
    assert (KEPT, _MOST_VALUES, recent_by_user.KEPT) == (20_000, 200_000, 20_000)
    assert (Bounds().rows, Bounds().memory_bytes, Bounds().rate, LONGEST_KEY) == (500_000, 48 * MIB, 2 * MIB, 256)
    assert (LogOptions("x").size, LogOptions("x").rate, PART_ROWS) == (5 * 1024 * MIB, 2 * MIB, 50_000)
    assert buffer._BURST_SECONDS == 30


@claim(
    "docs/serving.md",
    "another thread takes over what waits (at most 8 in all),",
    "but at least 5 s and 20 times what its held-out rows took,",
    "after 2 `T` and 5 s of computing a timer of the system ends the process (SIGPROF)",
    "if it computes nothing, after half an hour.",
)
def test_a_model_that_hangs_has_the_times_of_the_page() -> None:
    assert MOST_THREADS == 8
    assert (offload._PATIENCE, offload._SILENT, offload._SILENT_SECONDS, offload._SAMPLES) == (0.1, 0.25, 5.0, 20.0)
    assert (graceful_server._GRACE_SECONDS, graceful_server._STILL_SECONDS) == (5.0, 1800.0)
    assert graceful_server._YOUNG_SECONDS == 20.0
