"""One try to tell a receiver of an event: CloudEvents 1.0 as JSON (structured mode), signed as Standard Webhooks.

https://github.com/cloudevents/spec and https://www.standardwebhooks.com. Little is believed of the receiver: no
redirect is followed, of the answer at most 64 KiB are read, and all of it within 15 s.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from deployments.clock import Clock
from deployments.event_delivery.catalogue import Occurrence
from deployments.event_delivery.outbox import Delivery
from deployments.event_delivery.sender import GIVEN_UP_AFTER, Answer, Arrived, Gone, Later
from deployments.event_delivery.subscriptions import Subscription, is_public

_LONGEST: Final = timedelta(seconds=15)
_MOST_READ: Final = 64 * 1024
_AWAY: Final = frozenset({429, 502, 503, 504})


class Receiver:
    """The one of a subscription; for one thread. `longest` is how long a try may take."""

    def __init__(self, subscription: Subscription, clock: Clock, longest: timedelta = _LONGEST) -> None:
        self._to, self._clock, self._longest = subscription, clock, longest
        for logger in ("httpx", "httpcore"):  # they tell addresses
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._runner = asyncio.Runner()
        self._is_direct = True
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=longest.total_seconds(),
            headers={"user-agent": "seatrial"},
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )

    def close(self) -> None:
        """Let the connection go."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def send(self, delivery: Delivery) -> Answer:
        """What became of one try. No address stands in what is told, for it may hold a secret."""
        body = cloud_event(delivery.occurrence)
        headers = signed(self._to.secret, delivery.occurrence.id, self._clock.now(), body)
        try:
            return self._runner.run(self._asked(body, headers))
        except TimeoutError:
            return Later(f"no answer within {self._longest.total_seconds():g} s", away=True)
        except _PrivateAddressError:
            return Later(
                "the name leads to a private address: add the subscription again with --private if it is meant",
                away=True,
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Later(f"the receiver cannot be asked ({type(error).__name__})", away=True)
        finally:
            self._client.cookies.clear()

    async def _asked(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with (
            asyncio.timeout(self._longest.total_seconds()),
            self._client.stream(
                "POST", self._to.url, content=body, headers=dict(headers), extensions={"trace": self._checked}
            ) as response,
        ):
            answer = self._understood(response)
            read = 0
            async for some in response.aiter_raw():  # so that the connection can be used again
                read += len(some)
                if read > _MOST_READ:
                    break
            return answer

    def _understood(self, response: httpx.Response) -> Answer:
        status = response.status_code
        if response.is_success:
            return Arrived()
        if status == httpx.codes.GONE:
            return Gone("the receiver answered HTTP 410")
        pause = _asked_pause(response.headers.get("retry-after", ""), self._clock.now())
        return Later(f"the receiver answered HTTP {status}", pause, away=status in _AWAY)

    async def _checked(self, what: str, facts: Mapping[str, Any]) -> None:
        """Before a byte is sent: where the connection leads to. A proxy's own address is not the receiver's."""
        if what == "connection.connect_tcp.started":
            self._is_direct = facts["host"] == httpx.URL(self._to.url).raw_host.decode("ascii")
        if what != "connection.connect_tcp.complete" or self._to.private or not self._is_direct:
            return
        stream = facts["return_value"]
        if not is_public(str(stream.get_extra_info("server_addr")[0])):
            await stream.aclose()
            raise _PrivateAddressError


class _PrivateAddressError(Exception):
    """Nobody has said that events may be sent there."""


def cloud_event(occurrence: Occurrence) -> bytes:
    """As JSON, the same bytes each time."""
    from cloudevents.core.bindings.http import to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "id": occurrence.id,
        "source": f"/seatrial/products/{occurrence.product}",
        "type": occurrence.type,
        "subject": occurrence.run or occurrence.product,
        "time": occurrence.at,
        "datacontenttype": "application/json",
    }
    return bytes(to_structured(CloudEvent(attributes, dict(occurrence.data)), JSONFormat()).body)


def signed(secret: str, message: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message, its signature among them."""
    from standardwebhooks.webhooks import Webhook

    return {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, now.astimezone(UTC), body.decode()),
    }


def _asked_pause(text: str, now: datetime) -> timedelta:
    """Of a header Retry-After (RFC 9110): seconds or a date; nothing for anything else."""
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), GIVEN_UP_AFTER)
    try:
        pause = parsedate_to_datetime(text).astimezone(UTC) - now
    except (ValueError, TypeError, OverflowError):
        return timedelta(0)
    return min(max(timedelta(0), pause), GIVEN_UP_AFTER)
