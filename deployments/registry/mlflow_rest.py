"""MLflow's REST API, for processes that are too small to import MLflow: names in its registry, and its webhooks."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from deployments.errors import BadInput, NotFound, RegistryUnreachable
from deployments.redaction import masked, quoted

_SECONDS: Final = 10.0
_API: Final = "/api/2.0/mlflow"
_EVENTS: Final = (
    {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_TAG", "action": "SET"},
)


class MLflowRest:
    """The server at `address`, such as `http://127.0.0.1:5000`; `login` is user and password, None: it asks for none.

    Every method raises `RegistryUnreachable` where it does not answer, and `BadInput` for what it refuses. Safe for
    several threads.
    """

    def __init__(
        self, address: str, login: tuple[str, str] | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._address = address
        self._client = httpx.Client(
            base_url=address, auth=login, timeout=_SECONDS, trust_env=False, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def aliases(self, model: str) -> Mapping[str, int]:
        """The version that each name stands on; empty for a model that is not there."""
        try:
            found = self._told("GET", f"/registered-models/get?name={quote(model, safe='')}")
        except NotFound:
            return {}
        return {each["alias"]: int(each["version"]) for each in found["registered_model"].get("aliases", ())}

    def tags(self, model: str) -> Mapping[int, Mapping[str, str]]:
        """The tags of each version; empty for a model that is not there."""
        found: dict[int, Mapping[str, str]] = {}
        token = ""
        while True:
            wanted = quote(f"name='{model}'", safe="")
            page = self._told("GET", f"/model-versions/search?filter={wanted}&page_token={quote(token, safe='')}")
            for each in page.get("model_versions", ()):
                found[int(each["version"])] = {tag["key"]: tag.get("value", "") for tag in each.get("tags", ())}
            if not (token := page.get("next_page_token", "")):
                return found

    def register_webhook(self, name: str, url: str, secret: str) -> str:
        """MLflow tells `url` of aliases and tags that are set from now on, of all models; its id."""
        wanted = {"name": name, "url": url, "events": list(_EVENTS), "secret": secret, "status": "ACTIVE"}
        return str(self._told("POST", "/webhooks", wanted)["webhook"]["webhook_id"])

    def webhook_url(self, webhook: str) -> str:
        """Where a webhook is sent to. Raises `NotFound` if MLflow has it no more."""
        return str(self._told("GET", f"/webhooks/{quote(webhook, safe='')}")["webhook"]["url"])

    def change_webhook(self, webhook: str, **changed: str) -> None:
        """Another `url` or `secret`. Raises `NotFound` if MLflow has it no more."""
        self._told("PATCH", f"/webhooks/{quote(webhook, safe='')}", changed)

    def remove_webhook(self, webhook: str) -> None:
        """Nothing is sent any more. Raises `NotFound` if MLflow has it no more."""
        self._told("DELETE", f"/webhooks/{quote(webhook, safe='')}")

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """As a person does on MLflow's page. Raises `NotFound` for an unknown model or version."""
        self._told("POST", "/registered-models/alias", {"name": model, "alias": alias, "version": str(version)})

    def _told(self, method: str, path: str, content: object = None) -> Any:
        try:
            response = self._client.request(method, f"{_API}{path}", json=content)
        except httpx.HTTPError as error:
            raise RegistryUnreachable(
                f"MLflow at {masked(self._address)} does not answer ({type(error).__name__})"
            ) from None
        if response.is_server_error or response.status_code in {408, 429}:
            raise RegistryUnreachable(f"MLflow at {masked(self._address)} cannot now: HTTP {response.status_code}")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"MLflow has no {quoted(path.partition('?')[0])}")
        if not response.is_success:
            raise BadInput(f"MLflow refuses {path.partition('?')[0]}: {quoted(_said(response), 200)}")
        return response.json()


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"
