"""The way to an API server: kubernetes' own client for addresses and TLS, urllib3 for requests, both kept fresh."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from deployments.cluster.credentials import credentials_of
from deployments.cluster.errors import ApiUnreachable, error_of
from deployments.cluster.rate_limit import pace_of
from deployments.errors import BadInput
from deployments.redaction import masked

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

JSON: Final = "application/json"
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_CONNECT_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 30.0
_BACKOFF_SECONDS = 0.2
# The longest that a busy server's `Retry-After` holds us up: a lease would run out.
_RETRY_AFTER_SECONDS: Final = 10
# What may be sent again: all that we send is idempotent, or says what it was built on.
_BUSY: Final = (429, 500, 502, 503, 504)


class Body(NamedTuple):
    """What a request carries, and its content type."""

    content: bytes
    kind: str = JSON

    @classmethod
    def of(cls, document: Mapping[str, Any], kind: str = JSON) -> "Body":
        """A document as JSON, which is YAML too."""
        return cls(json.dumps(document).encode(), kind)


class Connection:
    """An API server, and whoever we are for it. `namespace` is the one that the credentials come with.

    Safe for several threads, and in a fork: that opens connections of its own. Credentials that the server no longer
    takes are read anew, once for a request.
    """

    def __init__(self, load: Callable[[], "ApiClient"], namespace: str) -> None:
        self._load = load
        self.namespace = namespace
        self._settle()

    @classmethod
    def of(cls, context: str | None = None, kubeconfig: Path | None = None) -> Self:
        """See `credentials_of`."""
        return cls(*credentials_of(context, kubeconfig))

    @property
    def address(self) -> str:
        """Of the API server."""
        return masked(str(self._client.configuration.host))

    def close(self) -> None:
        """Let the connections go; the next request opens a new one."""
        self._client.rest_client.pool_manager.clear()

    def send(  # noqa: PLR0913, PLR0917 - what a request has
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None = None,
        seconds: float = _PATIENCE_SECONDS,
        again: bool = True,
        more: Mapping[str, str] = NO_HEADERS,
    ) -> "BaseHTTPResponse":
        """An answer, whatever its code; that of a watch is not read yet. Raises `ApiUnreachable` for none.

        Sent `again` for a few seconds while the server is busy or connections break. Waits for its turn (see `Pace`).
        `more` are further headers.
        """
        import urllib3

        if self._process != os.getpid():
            self._settle()

        def sent(client: "ApiClient") -> "BaseHTTPResponse":
            self._pace.wait()
            given = [(name, value) for name, value in query.items() if value]
            _, url, headers, *_ = client.param_serialize(
                method, path, query_params=given, header_params={"Accept": JSON, **more}, auth_settings=["BearerToken"]
            )
            return client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else body.content,
                headers=headers if body is None else headers | {"Content-Type": body.kind},
                preload_content="watch" not in query,
                redirect=False,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
                retries=_retries() if again else False,
            )

        client = self._client
        try:
            response = sent(client)
            if response.status == 401 and self._renewed(client):
                response.close()
                response = sent(self._client)
            return response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(error) from error

    def read(self, response: "BaseHTTPResponse") -> bytes:
        """All of an answer. Raises `ApiError` for a code from 300 on: what is no answer from where we asked is none."""
        import urllib3

        try:
            body = bytes(response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(error) from error
        if response.status >= 300:
            raise error_of(response.status, body)
        return body

    def lines(self, response: "BaseHTTPResponse") -> Iterator[bytes]:
        """Line after line as they come, until the server ends; that it hangs up is no error."""
        import urllib3

        rest = b""
        try:
            for part in response.stream(65_536, decode_content=False):
                *whole, rest = (rest + part).split(b"\n")
                yield from (line for line in whole if line)
        except (urllib3.exceptions.HTTPError, OSError):
            return
        finally:
            response.close()

    def _settle(self) -> None:
        """Everything that two processes cannot share. What a fork inherited is left alone: it is still in use."""
        self._process, self._lock, self._client = os.getpid(), threading.Lock(), self._load()
        self._pace = pace_of(self.address, self._process)

    def _renewed(self, refused: "ApiClient") -> bool:
        """Whether there are credentials other than those that were refused; a thread that comes second finds them."""
        with self._lock:
            if self._client is refused:
                try:
                    self._client = self._load()
                except BadInput:  # it is just being written, say: the refusal stands
                    return False
                refused.rest_client.pool_manager.clear()
        return True

    def _silent(self, error: Exception) -> ApiUnreachable:
        reason = getattr(error, "reason", None) or error
        return ApiUnreachable(0, f"the API server at {self.address} does not answer ({reason})")


def _retries() -> Any:
    import urllib3

    return urllib3.Retry(
        total=4,
        connect=3,
        read=2,
        backoff_factor=_BACKOFF_SECONDS,
        status_forcelist=_BUSY,
        allowed_methods=None,
        raise_on_status=False,
        retry_after_max=_RETRY_AFTER_SECONDS,
    )
