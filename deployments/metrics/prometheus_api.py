"""A Prometheus, or whatever speaks its HTTP API, asked for the present value of series."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deployments.errors import BadInput, MetricsUnreachable

_ANSWER_SECONDS: Final = 10.0
# Questions come seconds apart: a kept connection would be one that the other side has closed.
_NOTHING_KEPT: Final = httpx.Limits(max_keepalive_connections=0)


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a series; `at` is when it was asked for, in seconds since 1970 by Prometheus' own clock."""

    labels: Mapping[str, str]
    at: float
    value: float

    @property
    def name(self) -> str:
        """Of the metric; empty for what a function made of one."""
        return self.labels.get("__name__", "")


class Prometheus:
    """The Prometheus at `url`. A password in it is sent and never told. Raises `BadInput` for what is no URL."""

    def __init__(self, url: str) -> None:
        try:
            given = httpx.URL(url)
        except httpx.InvalidURL:
            raise BadInput("the address of Prometheus is no URL: see rollout.kubernetes.prometheus") from None
        auth = (given.username, given.password) if given.userinfo else None
        self._client = httpx.Client(auth=auth, timeout=_ANSWER_SECONDS, limits=_NOTHING_KEPT, trust_env=False)
        self.address = str(given.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")

    def instant(self, query: str) -> Sequence[Sample]:
        """The samples of an instant query in PromQL.

        Raises `MetricsUnreachable` when nobody answers, for a query that fails, and for an answer with warnings: that
        is how a Prometheus of several parts says that some of them are missing.
        """
        try:
            response = self._client.get(f"{self.address}/api/v1/query", params={"query": query})
        except httpx.HTTPError as error:
            raise MetricsUnreachable(
                f"Prometheus at {self.address} does not answer ({error!r}): see rollout.kubernetes.prometheus"
            ) from error
        return self._samples(query, response)

    def _samples(self, query: str, response: httpx.Response) -> Sequence[Sample]:
        try:
            said = response.json()
            problem = said.get("error") or "; ".join(said.get("warnings") or ())
            if said["status"] == "success" and not problem:
                return [_sample(each) for each in said["data"]["result"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MetricsUnreachable(
                f"what answers at {self.address} is no Prometheus that lets us ask (HTTP {response.status_code}): "
                "see rollout.kubernetes.prometheus"
            ) from error
        raise MetricsUnreachable(f"Prometheus at {self.address} fails on the query {query}: {problem}")


def _sample(told: Any) -> Sample:
    at, value = map(float, told["value"])
    if not math.isfinite(value):
        raise ValueError(f"{value} was never counted")
    return Sample(told["metric"], at, value)
