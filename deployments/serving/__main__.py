"""`python -m deployments.serving`: checks a model folder, loads it, warms it up, and only then listens.

Ends with 0 after SIGTERM, with 2 for a model that must not be served; the last line of the log says why.
"""

import argparse
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil

from deployments.account_isolation import restrict_new_files
from deployments.caller_authentication import GATEWAY_VARIABLE, RUN_VARIABLE, Admitted
from deployments.clock import Clock, SystemClock
from deployments.errors import BadArtifact, SeatrialError
from deployments.key_files import known_key
from deployments.model_manifest import DIGEST_VARIABLE
from deployments.request_ids import VARIABLE as KEY_VARIABLE
from deployments.request_ids import Sealer
from deployments.serving.allocator import give_back_memory
from deployments.serving.codecs.mlflow import MlflowDialect
from deployments.serving.data_plane import answers_of
from deployments.serving.graceful_server import serve_until_signal
from deployments.serving.inference_log import InferenceLog, LogOptions, add_flags, options_of, recording
from deployments.serving.inference_request import Query
from deployments.serving.inflight_record import VARIABLE, open_crash_record
from deployments.serving.loaded_model import Model, load, read_verification
from deployments.serving.memory_budget import rows_within
from deployments.serving.mirror_headers import MIRRORED, PAIRED, Marks
from deployments.serving.model_metadata import Kind
from deployments.serving.nonblocking_output import make_output_nonblocking
from deployments.serving.offload import is_batch_invariant
from deployments.serving.recent_by_user import StickyKeys
from deployments.serving.request_limits import Limits
from deployments.serving.server_log import log_as_json, log_event, log_failure, place_of
from deployments.serving.server_state import Service
from deployments.serving.startup.slots import start_slot
from deployments.serving.startup.socket_handover import tcp_listener, unix_listener
from deployments.serving.startup.stages import Start
from deployments.serving.tracing import tracing
from deployments.traffic import DEFAULT_KEY

# A server that takes its turn and hangs keeps the others waiting no longer.
_LONGEST_TURN = timedelta(seconds=45)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until told to stop; the exit code."""
    restrict_new_files()
    options = _parse(arguments)
    log_as_json()
    give_back_memory()
    try:
        served = _serve(options, SystemClock())
    except SeatrialError as error:
        log_failure("refused to serve", error=str(error))
        return error.exit_code
    except OSError as error:
        log_failure("cannot listen", address=_address(options), error=str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process; of what a model did there may be no other trace
        log_failure("failed", error=place_of(error))
        return 1
    log_event("stopped")
    return 0 if served else 1


def _serve(options: argparse.Namespace, clock: Clock) -> bool:
    """Whether it answered to its end."""
    start = Start(options.model, clock)
    # Libraries quote the data in their warnings.
    warnings.simplefilter("ignore")
    limits = _limits_of(options)
    start.comes_to("waiting for its turn")
    with _turn(options, clock):
        model = _loaded(options, start)
        limits = replace(
            limits, rows=rows_within(limits.rows, len(model.description.features), len(model.description.classes))
        )
        _check_categories(model, limits)
        start.comes_to("answering its held-out rows")
        asked = clock.monotonic()
        sample, together = warm_up(model, options.model, limits)
        sample_seconds = clock.monotonic() - asked
    start.comes_to("opening its log and its sockets")
    version, epoch, log_options = str(options.version), uuid.uuid4().hex, options_of(options)
    with (
        _recording(log_options, model, version, epoch, clock) as log,
        tracing(options.product, version) as spans,
        open_crash_record(_place_of_remains()) as remains,
        _listeners(options) as (listeners, marks),
    ):
        gc.collect()
        gc.freeze()
        seconds = start.seconds
        service = Service(
            model,
            version,
            limits,
            epoch=epoch,
            clock=clock,
            together=together,
            sample=sample,
            sample_seconds=sample_seconds,
            log=log,
            spans=spans,
            remains=remains,
        )
        service.load_seconds, service.marks = seconds, marks
        service.sealer = _sealer_of(options, clock)
        service.admitted = Admitted(os.environ.get(RUN_VARIABLE, ""), os.environ.get(GATEWAY_VARIABLE, ""))
        service.keys = StickyKeys.of(options.key_header, options.key_cookie)
        log_event(
            "ready",
            product=options.product,
            version=options.version,
            address=_address(options),
            seconds=round(seconds, 3),
            memory_mb=round(psutil.Process().memory_info().rss / 1e6, 1),
            compiled=model.quick.how if model.quick else "",
            pid=os.getpid(),
        )
        return serve_until_signal(service, *listeners)


def _turn(options: argparse.Namespace, clock: Clock) -> contextlib.AbstractContextManager[bool]:
    """Servers of one machine, which are those on a Unix socket, load their models by turns; a pod has its own cores."""
    if options.uds is None:
        return contextlib.nullcontext(True)
    return start_slot(options.uds.parent, clock, os.cpu_count() or 1, _LONGEST_TURN)


def _loaded(options: argparse.Namespace, start: Start) -> Model:
    """Raises `BadArtifact` for a model that fails in whatever way; another start would change nothing."""
    try:
        return load(options.model, options.product, options.trust, options.digest, start.comes_to)
    except (SeatrialError, KeyboardInterrupt, OSError, MemoryError):
        raise
    except BaseException as error:
        raise BadArtifact(
            f"the model in {options.model} failed while it was loaded ({place_of(error)}): train it anew"
        ) from error


def _check_categories(model: Model, limits: Limits) -> None:
    """Raises `BadArtifact` where unknown categories are to be refused and nobody can say which are known."""
    unlisted = (
        each.name for each in model.description.features if each.kind is Kind.CATEGORICAL and not each.categories
    )
    if not limits.unknown_categories and (name := next(unlisted, None)):
        raise BadArtifact(
            f"unknown categories of {name!r} cannot be refused, for the model does not list the known ones: "
            "set rollout.server.unknown_categories to accept"
        )


def warm_up(model: Model, folder: Path, limits: Limits) -> tuple[Query, bool]:
    """Answers the held-out rows that came with the model.

    The first of them, and whether the model answers rows in company as each alone.

    Raises `BadArtifact` if it cannot.
    """
    try:
        dialect = MlflowDialect(model.description, limits)
        query = dialect.question_in(read_verification(folder))
        dialect.write(query, answers_of(model, query), "")
        return Query(next(iter(query.batch.each())), query.wanted), is_batch_invariant(model, query)
    except SeatrialError as error:
        raise BadArtifact(f"{folder} fails its own verification rows ({error}): train the version anew") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise BadArtifact(
            f"the model in {folder} failed on its verification rows ({place_of(error)}): train it anew"
        ) from error


def _add_limits(parser: argparse.ArgumentParser) -> None:
    usual, flags = Limits(), parser.add_argument_group("limits")
    flags.add_argument("--max-body-bytes", type=int, default=usual.body_bytes, help="largest request")
    flags.add_argument("--max-rows", type=int, default=usual.rows, help="most rows of one request")
    flags.add_argument(
        "--max-seconds", type=float, default=usual.time.total_seconds(), help="longest time for one request"
    )
    flags.add_argument("--max-in-flight", type=int, default=usual.in_flight, help="most predictions asked for at once")
    flags.add_argument("--refuse-missing", action="store_true", help="null is no value")
    flags.add_argument("--refuse-unknown-categories", action="store_true", help="only categories that training saw")
    flags.add_argument("--ignore-unknown-columns", action="store_true", help="as MLflow does; else they are refused")


def _add_key(parser: argparse.ArgumentParser) -> None:
    flags = parser.add_argument_group("sticky key of a user")
    flags.add_argument("--key-header", default=DEFAULT_KEY, help="header that holds it")
    flags.add_argument("--key-cookie", help="cookie that holds it, instead of a header")


def _limits_of(options: argparse.Namespace) -> Limits:
    return Limits(
        body_bytes=options.max_body_bytes,
        rows=options.max_rows,
        time=timedelta(seconds=options.max_seconds),
        in_flight=options.max_in_flight,
        missing=not options.refuse_missing,
        unknown_categories=not options.refuse_unknown_categories,
        unknown_columns=options.ignore_unknown_columns,
    )


def _place_of_remains() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def _sealer_of(options: argparse.Namespace, clock: Clock) -> Sealer | None:
    """None where there is no key to seal with: users are served all the same, and no feedback of theirs is taken."""
    path = Path(os.environ.get(KEY_VARIABLE, ""))
    if not path.name:
        return None
    try:
        return Sealer(known_key(path.parent, path.name), options.product, options.version, clock)
    except SeatrialError as error:
        log_failure("answers have no seal, so that no feedback on them is taken", error=str(error))
        return None


def _recording(
    options: LogOptions | None, model: Model, version: str, epoch: str, clock: Clock
) -> contextlib.AbstractContextManager[InferenceLog | None]:
    if options is None:
        return contextlib.nullcontext()
    return recording(options, model.description, version, epoch, clock)


@contextlib.contextmanager
def _listeners(options: argparse.Namespace) -> Iterator[tuple[Sequence[socket.socket], Marks]]:
    """Where users are listened to, and beside it by which ports requests come that are something else."""
    further = ((MIRRORED, options.copies_port), (PAIRED, options.paired_port))
    with contextlib.ExitStack() as stack:
        users = unix_listener(options.uds) if options.uds else tcp_listener(options.host, options.port)
        listeners = [stack.enter_context(users)]
        marks: dict[int, bytes] = {}
        for mark, port in further:
            if port is not None:
                listeners.append(stack.enter_context(tcp_listener(options.host, port)))
                marks[listeners[-1].getsockname()[1]] = mark
        yield listeners, marks


def _address(options: argparse.Namespace) -> str:
    return str(options.uds) if options.uds else f"{options.host}:{options.port}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.serving", description="Serves one version of a model.")
    parser.add_argument("--model", type=Path, required=True, help="model folder, with its manifest.json")
    parser.add_argument("--product", required=True, help="name of the product; the folder must be of the same")
    parser.add_argument("--version", type=int, required=True, help="version of the model")
    parser.add_argument(
        "--digest",
        default=os.environ.get(DIGEST_VARIABLE, ""),
        help=f"of the only manifest.json that is taken; by default ${DIGEST_VARIABLE}, else any",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds", type=Path, help="Unix socket to listen on; taken over from whoever listens there")
    where.add_argument("--port", type=int, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on with --port")
    parser.add_argument("--copies-port", type=int, help="further port, for copies whose answers nobody gets")
    parser.add_argument("--paired-port", type=int, help="further port, for users' requests that are copied elsewhere")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TYPE", help="further type that the model may hold"
    )
    _add_limits(parser)
    _add_key(parser)
    add_flags(parser)
    options = parser.parse_args(arguments)
    if options.uds and (options.copies_port, options.paired_port) != (None, None):
        parser.error("--copies-port and --paired-port go with --port, not with --uds")
    return options


def _leave(code: int) -> None:
    """Ends the process, also where a model left threads behind for which Python would wait for ever."""
    own = threading.main_thread()
    if any(thread is not own and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    make_output_nonblocking()
    _leave(main())
