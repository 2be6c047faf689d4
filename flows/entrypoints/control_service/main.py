"""The control service: what users and other programs tell Seatrial over HTTP.

`POST /seatrial/feedback` and `POST /seatrial/webhooks/…` reach it through the gateway; it listens on a Unix socket of
this user alone, or, in a cluster, on a TCP port. What it answers 202 to is on the disk. Beside that it starts the runs
that webhooks ask for, looks up which answers feedback by key is about, and keeps the gateway's log of users small. It
must stay light: no Prefect, no MLflow, no scikit-learn, and pyarrow only once somebody sends feedback by key.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

from deployments.access_control.identities import Identities
from deployments.access_control.tokens import Tokens
from deployments.account_isolation import restrict_new_files
from deployments.clock import Clock, SystemClock
from deployments.errors import BadInput, NotFound, SeatrialError
from deployments.inference_log_reader import Log
from deployments.key_files import key, known_key
from deployments.local_platform.gateway import keep_user_log_small
from deployments.local_platform.prefect_address import prefect_rest
from deployments.local_platform.public_gateway import bring_certificate
from deployments.local_platform.services import control_socket
from deployments.metrics.feedback.admission import Admission, Bounds, Kept, Products, SectionOf
from deployments.metrics.feedback.pending_by_user import ANSWERED_WITHIN
from deployments.metrics.feedback.rate_limit import Rates
from deployments.metrics.feedback.store import FeedbackLedger, UserOf
from deployments.proxy_environment import heed_proxies
from deployments.request_ids import KEY_NAME, Seals
from deployments.serving.allocator import give_back_memory
from deployments.serving.startup.socket_handover import tcp_listener, unix_listener
from deployments.settings import Settings, current
from deployments.spec import RolloutSection
from deployments.uvicorn_limits import serve
from deployments.web_login.allowed_hosts import Names
from deployments.wiring import inference_log_of, journal, newest_section
from flows.entrypoints.control_service import api, events, feedback, login, page, webhooks
from flows.entrypoints.control_service.access import Access
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.program_log import Complaints, say

if TYPE_CHECKING:
    from deployments.access_control.openid import OpenId

_LONGEST_GOODBYE_SECONDS = 10
_LOOK_EVERY = timedelta(seconds=5)
_TRIM_EVERY = timedelta(minutes=1)
_LOOKS_BETWEEN_FOLDS = 60
_MOST_FOLDS = 100


class Settler:
    """Looks up which answers feedback by key is about; what goes wrong is said once, and tried again."""

    def __init__(
        self,
        open_ledger: Callable[[], FeedbackLedger],
        log_of: Callable[[str], Log],
        clock: Clock,
        user_of: UserOf = lambda _product, _key: "",
    ) -> None:
        self._open_ledger, self._log_of, self._clock, self._user_of = open_ledger, log_of, clock, user_of
        self._ledger: FeedbackLedger | None = None
        self._complaints = Complaints()

    def run_for_ever(self) -> None:
        """Every 5 s a look."""
        while True:
            self._clock.sleep(_LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Settles what it is time for; one product's log does not keep another one waiting."""
        products: Sequence[str] = ()
        with self._waiting_for("its database"):
            products = self._opened().waiting(self._clock.now())
        for product in products:
            with self._waiting_for(product):
                self._settle(product)

    def _opened(self) -> FeedbackLedger:
        self._ledger = self._ledger or self._open_ledger()
        return self._ledger

    def _settle(self, product: str) -> None:
        for lost in self._opened().settle(product, self._log_of(product), self._clock.now(), self._user_of):
            say(f"{product}: nobody with that key was answered in time, a value of {lost.metric} is dropped")

    def _waiting_for(self, what: str) -> AbstractContextManager[None]:
        # A log may lie anywhere, with any errors.
        return self._complaints.about(f"feedback by key waits for {what}")


class Keeper:
    """Counts what is kept of the products, and sums up what nobody can say anything of any more."""

    def __init__(
        self,
        open_ledger: Callable[[], FeedbackLedger],
        kept: Kept,
        section_of: SectionOf,
        clock: Clock,
        within: timedelta,
    ) -> None:
        self._open_ledger, self._kept, self._section_of, self._clock = open_ledger, kept, section_of, clock
        # Feedback by a key is about an answer of up to so long before its own time.
        self._keeps = within + ANSWERED_WITHIN + timedelta(days=1)
        self._ledger: FeedbackLedger | None = None

    def run_for_ever(self) -> None:
        """Every minute a count, every hour a fold."""
        complaints = Complaints()
        for looks in count():
            with complaints.about("feedback is not counted"):
                self.look(folds=looks % _LOOKS_BETWEEN_FOLDS == 0)
            self._clock.sleep(_TRIM_EVERY)

    def look(self, *, folds: bool) -> None:
        """A count, after a fold if `folds`."""
        self._ledger = self._ledger or self._open_ledger()
        before = self._clock.now() - self._keeps
        for product in self._ledger.products() if folds else ():
            section = self._section_of(product)
            ranges = section.analysis.ranges if section else {}
            for _ in range(_MOST_FOLDS):
                if not self._ledger.fold(product, before, ranges):
                    break
        self._kept.counted(self._ledger.numbers())


def keep_users_small(settings: Settings, clock: Clock) -> None:
    """Every minute a look at the gateway's log of users, whether a rollout reads it or not."""
    complaints = Complaints()
    while True:
        clock.sleep(_TRIM_EVERY)
        with complaints.about("the gateway's log of users is not kept small", (SeatrialError, OSError)):
            keep_user_log_small(settings, clock)


def rest_for_ever(evidence: EvidenceProcess, clock: Clock) -> None:
    """Every minute a look whether anybody still asks for verdicts."""
    while True:
        clock.sleep(_TRIM_EVERY)
        evidence.rest()


def keep_certificate(settings: Settings, clock: Clock) -> None:
    """Every minute a look at the certificate for others: a new one is used at once, a bad one is told."""
    complaints = Complaints()
    while True:
        with complaints.about("the gateway goes on with the certificate that it has", (SeatrialError, OSError)):
            if bring_certificate(settings, clock.now()):
                say(f"the gateway uses the certificate in {settings.public_certificate}")
        clock.sleep(_TRIM_EVERY)


def provider_opener(settings: Settings) -> "Callable[[], OpenId] | None":
    """Whoever asks the provider by which people log in, opened when somebody first does; None: there is none."""
    if settings.oidc_issuer is None:
        return None

    @cache
    def opened() -> "OpenId":
        from deployments.access_control.openid import OpenId, provider_of

        return OpenId(provider_of(settings))

    return opened


def key_of(settings: Settings) -> Callable[[str, RolloutSection], bytes | None]:
    """What senders of a product's feedback must give: what its spec names, or the file that somebody has put there."""

    def found(product: str, section: RolloutSection) -> bytes | None:
        variable = section.feedback.key_env
        if variable is not None:
            given = os.environ.get(variable, "").strip()
            if not given:
                raise BadInput(f"{variable} is not set where the control service runs: put the key of {product} there")
            return given.encode()
        try:
            return known_key(settings.keys_folder, f"feedback-{product}")
        except NotFound:
            return None

    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m flows.entrypoints.control_service.main`: what supervisord and a cluster run; serves until SIGTERM."""
    restrict_new_files()
    give_back_memory()
    heed_proxies()
    options, settings = _parse(arguments), current()
    clock = SystemClock()

    def open_ledger() -> FeedbackLedger:
        return FeedbackLedger(settings.feedback_database)

    kept, within = Kept(settings.feedback_values), timedelta(days=settings.feedback_days)

    @cache
    def seals() -> Seals:
        return Seals(key(settings.keys_folder, KEY_NAME))

    def open_admission() -> Admission:
        rates, any_id = Rates(settings.feedback_rate, clock), settings.feedback_ids == "any"
        products, bounds = Products(newest_section, key_of(settings)), Bounds(rates, kept, within, any_id)
        return Admission(products, seals(), bounds, clock)

    def user_of(product: str, of: str) -> str:
        return seals().user(product, of)

    settler = Settler(open_ledger, inference_log_of, clock, user_of)
    keeper = Keeper(open_ledger, kept, newest_section, clock, within)
    threading.Thread(target=settler.run_for_ever, name="settler", daemon=True).start()
    threading.Thread(target=keeper.run_for_ever, name="keeper", daemon=True).start()
    threading.Thread(target=keep_users_small, args=(settings, clock), name="trimmer", daemon=True).start()
    behind_gateway = options.port is None
    if behind_gateway and settings.public_host is not None:
        threading.Thread(target=keep_certificate, args=(settings, clock), name="certificate", daemon=True).start()
    identities = Identities(settings.keys_folder, lambda: Tokens(settings.feedback_database), clock)
    access = Access(identities, Names.of(settings.gateway_names), behind_gateway)
    context = Context(settings, clock, journal, lambda: prefect_rest(settings), identities, behind_gateway)
    events.start(context)
    evidence = EvidenceProcess(clock)
    threading.Thread(target=rest_for_ever, args=(evidence, clock), name="rest", daemon=True).start()
    app = make_app(
        [
            *feedback.routes(
                open_ledger, open_admission, clock, settings.feedback_origins, behind_gateway=behind_gateway
            ),
            *webhooks.routes(context),
            *login.routes(access, provider_opener(settings)),
            *api.routes(context, evidence),
            *page.routes(context),
        ],
        access,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn passes the signal on when it has finished
    with closing(evidence), _listener(options, settings) as listener:
        serve(app, _LONGEST_GOODBYE_SECONDS, [listener], ws="none", lifespan="off")


def _listener(options: argparse.Namespace, settings: Settings) -> AbstractContextManager[socket.socket]:
    if options.port is None:
        return unix_listener(control_socket(settings))
    return tcp_listener(options.host, options.port)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows.entrypoints.control_service.main", description="Takes feedback."
    )
    parser.add_argument("--port", type=int, help="TCP port to listen on, instead of the platform's Unix socket")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on with --port")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
