"""A Kubernetes API server for tests: on loopback, in a thread, with as much of a control plane as Seatrial can see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import yaml

from .answers import Answers, Proxied
from .bodies import Answer
from .controllers import Controllers
from .faults import ConnectionCut, Faults, Request
from .kinds import BY_NAME, Json, Kind, kind_named
from .lifecycle import Lifecycle
from .ownership import Manager
from .preconditions import Deletion
from .routing import Target
from .scripts import PodScript, Scripts, Verdict
from .server import Server
from .store import Store

NAMESPACES = ("default", "kube-system")


class FakeKubernetes:
    """Use it as a context: `with FakeKubernetes() as api:`. `controllers` False leaves objects as they are written.

    `requests` holds all that came in, `faults` what is to go wrong."""

    def __init__(self, *, controllers: bool = True, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self._store = Store()
        self._lifecycle = Lifecycle(self._store, now, self._check_quota)
        self._lifecycle.has_kubelet = controllers
        self._scripts = Scripts()
        self._still = False
        self._controllers = Controllers(self._lifecycle, self._scripts) if controllers else None
        self._answers = Answers(self._lifecycle, self.faults, self.settle)
        self._answers.reading.log = self._log
        self._server = Server(self._answer, self._stream_ends)
        for name in NAMESPACES:
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def __enter__(self) -> "FakeKubernetes":
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.reading.end_watches()
        self._server.stop()
        if self._server.broken and error is None:
            raise self._server.broken[0]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.port}"

    def kubeconfig(self, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig that leads here, and return its path."""
        context = {"cluster": "fake", "user": "fake", "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "fake-token"}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def objects(self, kind: str, namespace: str = "") -> list[Json]:
        """Copies of the objects of a kind (`Deployment` or `deployments`), of all namespaces if none is named."""
        with self._store.lock:
            return deepcopy(self._store.all(kind_named(kind), namespace))

    def object(self, kind: str, name: str, namespace: str = "default") -> Json | None:
        """A copy of one object, None if there is none."""
        found = kind_named(kind)
        with self._store.lock:
            return deepcopy(self._store.get(found, namespace if found.namespaced else "", name))

    def put(self, thing: Json) -> Json:
        """Lay down an object, its status too, past all faults; the namespace is `default` if it names none."""
        with self._store.lock:
            kept = deepcopy(self._lifecycle.put(kind_named(thing["kind"]), thing))
            self.settle()
            return kept

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        """Take an object away, as somebody else would."""
        found: Kind = kind_named(kind)
        with self._store.lock:
            self._lifecycle.delete(found, (namespace if found.namespaced else "", name), Deletion())
            self.settle()

    def script(self, name: str, script: PodScript) -> None:
        """From now on that fate for the pods of that Deployment, or for the pod of that name."""
        with self._store.lock:
            self._scripts.pods[name] = script
            self.settle(anew=True)

    def script_all(self, script: PodScript) -> None:
        """From now on that fate for pods that have no script of their own."""
        with self._store.lock:
            self._scripts.everything_else = script
            self.settle(anew=True)

    def exceed_deadline(self, deployment: str) -> None:
        """The time for the rollout of that Deployment is over, should it not be done."""
        with self._store.lock:
            self._scripts.late.add(deployment)
            self.settle(anew=True)

    def script_route(self, name: str, **verdicts: Verdict) -> None:
        """What Gateways say of that route: `Accepted=Verdict(...)`, `ResolvedRefs=Verdict(...)`; nothing ends it."""
        with self._store.lock:
            self._scripts.routes[name] = verdicts
            self.settle(anew=True)

    def lose_node(self, name: str) -> None:
        """`node-1` or `node-2` is gone: its pods are evicted and replaced elsewhere, but nobody can end them."""
        with self._store.lock:
            self._scripts.lost_nodes.add(name)
            self.settle(anew=True)

    def find_node(self, name: str) -> None:
        """The node is back, and ends what was evicted from it."""
        with self._store.lock:
            self._scripts.lost_nodes.discard(name)
            self.settle(anew=True)

    def lose_controller_manager(self) -> None:
        """It is gone: kubelets and Gateways work, but no pod is replaced, no endpoint changes, nothing is ended."""
        self._scripts.no_manager = True

    def find_controller_manager(self) -> None:
        """It is back, and does what is to be done."""
        with self._store.lock:
            self._scripts.no_manager = False
            self.settle(anew=True)

    def autoscale(self, deployment: str, replicas: int, namespace: str = "default") -> None:
        """A HorizontalPodAutoscaler decides, and scales the Deployment in its own name."""

        def change(live: Json) -> Json:
            return {**live, "spec": {**live["spec"], "replicas": replicas}}

        manager = Manager("kube-controller-manager", "Update", "scale")
        with self._store.lock:
            self._lifecycle.change(BY_NAME["Deployment"], (namespace, deployment), change, manager)
            self.settle()

    def ignore_route(self, name: str) -> None:
        """No Gateway looks at that route any longer; its status stays as it is."""
        self._scripts.ignored_routes.add(name)

    def answer_pods(self, proxy: Callable[[Request, Target], Proxied | None]) -> None:
        """Who answers for pods behind the proxy; None means that the pod cannot be reached."""
        self._answers.proxy = proxy

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Inside, the controllers do nothing: a rollout stays where it is until the end of it."""
        self._still = True
        try:
            yield
        finally:
            self._still = False
            self.settle(anew=True)

    def settle(self, anew: bool = False) -> None:
        """Let the controllers work until there is nothing left to do."""
        if self._controllers is not None and not self._still:
            with self._store.lock:
                self._controllers.settle(anew)

    def compact(self) -> None:
        """Older versions are forgotten: lists and watches that begin there get 410, those that are open go on."""
        with self._store.lock:
            self._store.compact()

    def expire_watches(self) -> None:
        """Watches that are open end with an ERROR event that says 410."""
        with self._store.lock:
            self._store.expire_watches()

    def drop_watches(self) -> None:
        """Cut all connections that are open, above all those of watches."""
        self._answers.reading.end_watches()
        self._server.cut_all()

    @contextmanager
    def away(self, *, resets: bool = False) -> Iterator[None]:
        """Inside, connections are refused; with `resets` they are taken and reset. Open ones are cut."""
        self.go_away(resets=resets)
        try:
            yield
        finally:
            self.come_back()

    def go_away(self, *, resets: bool = False) -> None:
        """The server is gone until `come_back`; what it keeps stays."""
        self._answers.reading.end_watches()
        if resets:
            self._server.resets = True
            self._server.cut_all()
        else:
            self._server.stop()
            self._server.hold_the_port()

    def come_back(self) -> None:
        """Where it was before."""
        if self._server.resets:
            self._server.resets = False
        else:
            self._server.start()

    @property
    def request_count(self) -> int:
        """How many requests came in."""
        return len(self.requests)

    def _answer(self, request: Request) -> Answer:
        self.requests.append(request)
        answer, lost = self._answers.answer(request)
        if lost:
            raise ConnectionCut
        return answer

    def _stream_ends(self, lines: int) -> bool | None:
        most = self.faults.watch_ends_after
        return self.faults.watch_ends_cleanly if most is not None and lines >= most else None

    def _check_quota(self, kind: Kind, thing: Json) -> None:
        present = len(self._store.all(kind, thing["metadata"].get("namespace", "")))
        self.faults.refuse_over_quota(kind, thing, present)

    def _log(self, target: Target, query: dict[str, str]) -> str:
        with self._store.lock:
            pod = self._lifecycle.live(target.kind, *target.key)
            return self._controllers.log_of(pod) if self._controllers else ""
