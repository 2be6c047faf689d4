"""Who we are for an API server: by a kubeconfig, or as the service account of the pod that this process runs in."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from deployments.errors import BadInput
from deployments.printable import said_by

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

_LOGGER: Final = logging.getLogger("seatrial.cluster")
_NAMESPACE_OF_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# More than are asked at once, on however small a machine.
_CONNECTIONS: Final = 16


def credentials_of(context: str | None, kubeconfig: Path | None) -> tuple[Callable[[], "ApiClient"], str]:
    """What makes a client with the credentials as they are then, and the namespace that they come with.

    `kubeconfig` None: where kubectl looks now. `context` None: the current one. Raises `BadInput`, as what it gives
    does, if there is neither a kubeconfig nor a pod around us.
    """
    where = _absolute(str(kubeconfig or os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser()))
    try:
        return (lambda: _by_kubeconfig(where, context)), _namespace(where, context)
    except BadInput:
        if kubeconfig or context or not _NAMESPACE_OF_POD.exists():
            raise
    return _by_pod, _NAMESPACE_OF_POD.read_text().strip()


def _absolute(paths: str) -> str:
    """They are read again, maybe from another working folder."""
    return os.pathsep.join(str(Path(path).absolute()) for path in paths.split(os.pathsep) if path)


def _namespace(where: str, context: str | None) -> str:
    from kubernetes import config

    with _readable(where):
        contexts, current = config.list_kube_config_contexts(where)  # type: ignore[no-untyped-call]
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _by_kubeconfig(where: str, context: str | None) -> "ApiClient":
    from kubernetes import client, config

    configuration = client.Configuration()
    with _readable(where):
        config.load_kube_config(where, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    return _client(configuration)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    import yaml
    from kubernetes import config

    try:
        yield
    except config.ConfigException as error:
        raise BadInput(
            f"no cluster to talk to ({error}): set KUBECONFIG, or rollout.kubernetes.context in the spec"
        ) from None
    except (yaml.YAMLError, ValueError, OSError):  # their texts may quote a credential
        raise BadInput(f"the kubeconfig {where} cannot be read: see `kubectl config view`") from None


def _by_pod() -> "ApiClient":
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise BadInput(f"this pod's service account cannot be read: {said_by(error)}") from None
    return _client(configuration)


def _client(configuration: "Configuration") -> "ApiClient":
    from kubernetes import client
    from urllib3 import disable_warnings, exceptions, make_headers

    user = urlsplit(configuration.proxy or "").netloc.rpartition("@")[0]
    if user:
        configuration.proxy_headers = make_headers(proxy_basic_auth=unquote(user))
    configuration.connection_pool_maxsize = _CONNECTIONS
    if not configuration.verify_ssl:
        disable_warnings(exceptions.InsecureRequestWarning)  # it comes with every request; ours is said once
        _say_once(urlsplit(configuration.host).netloc.rpartition("@")[2])
    return client.ApiClient(configuration)


@lru_cache(maxsize=64)
def _say_once(server: str) -> None:
    _LOGGER.warning(
        "the certificate of the API server %s is not checked (insecure-skip-tls-verify in the kubeconfig): whoever "
        "stands between could read the token; give certificate-authority instead",
        server,
    )
