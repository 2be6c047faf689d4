"""The way to an API server: kubernetes' own client for addresses, credentials and TLS, urllib3 for requests."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from deployments.cluster.errors import ApiUnreachable, error_of
from deployments.errors import BadInput

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

JSON: Final = "application/json"
_CONNECT_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 30.0
_BACKOFF_SECONDS = 0.2
# What may be sent again: all that we send is idempotent, or says what it was built on.
_BUSY: Final = (429, 500, 502, 503, 504)
_NAMESPACE_OF_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Body(NamedTuple):
    """What a request carries, and its content type."""

    content: bytes
    kind: str = JSON

    @classmethod
    def of(cls, document: Mapping[str, Any], kind: str = JSON) -> "Body":
        """A document as JSON, which is YAML too."""
        return cls(json.dumps(document).encode(), kind)


class Connection:
    """An API server, and whoever we are for it. `namespace` is the one that the credentials come with."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def of(cls, context: str | None = None, kubeconfig: Path | None = None) -> Self:
        """By a kubeconfig's context, or else as the service account of the pod that this process runs in.

        `kubeconfig` None: where kubectl looks. `context` None: the current one. Raises `BadInput` if there is neither.
        """
        from kubernetes import client, config

        configuration = client.Configuration()
        where = None if kubeconfig is None else str(kubeconfig)
        try:
            config.load_kube_config(where, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts(where)  # type: ignore[no-untyped-call]
            chosen = next((each for each in contexts if each["name"] == context), current)
            namespace = chosen["context"].get("namespace") or "default"
        except config.ConfigException as error:
            if where or context or not _NAMESPACE_OF_POD.exists():
                raise BadInput(
                    f"no cluster to talk to ({error}): set KUBECONFIG, or rollout.kubernetes.context in the spec"
                ) from None
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            namespace = _NAMESPACE_OF_POD.read_text().strip()
        return cls(client.ApiClient(configuration), namespace)

    @property
    def address(self) -> str:
        """Of the API server."""
        return str(self._client.configuration.host)

    def close(self) -> None:
        """Let the connections go; the next request opens a new one."""
        self._client.rest_client.pool_manager.clear()

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None = None,
        seconds: float = _PATIENCE_SECONDS,
        *,
        again: bool = True,
    ) -> "BaseHTTPResponse":
        """An answer, not read yet, whatever its code. Raises `ApiUnreachable` for none.

        Sent `again` for a few seconds while the server is busy or connections break.
        """
        import urllib3

        given = [(name, value) for name, value in query.items() if value]
        method, url, headers, *_ = self._client.param_serialize(
            method, path, query_params=given, header_params={"Accept": JSON}, auth_settings=["BearerToken"]
        )
        if body is not None:
            headers["Content-Type"] = body.kind
        try:
            return self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else body.content,
                headers=headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
                retries=_retries() if again else False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(error) from error

    def read(self, response: "BaseHTTPResponse") -> bytes:
        """All of an answer. Raises `ApiError` for a code from 400 on, and for one that breaks off."""
        body = self.body(response)
        if response.status >= 400:
            raise error_of(response.status, body)
        return body

    def body(self, response: "BaseHTTPResponse") -> bytes:
        """All of an answer, whatever its code."""
        import urllib3

        try:
            return bytes(response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(error) from error

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
    )
