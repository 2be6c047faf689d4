"""Whatever bodies clients send, in any number: a server stays within what a pod has, and answers small requests."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.greedy_bodies import Greedy, greedy_bodies
from tests.hostile.served import Served, posted, serving
from tests.model_folder import verification_of

# What a pod has by default: `rollout.kubernetes.resources.memory`.
POD_MIB = 512
CALLERS = 8
# Of each sort, for every `make test`; `make test-hostile` tries all.
SAMPLE = ("many keys", "rows of wide texts", "CSV rows of wide texts", "V2 texts in bytes")
TOLD = f"{'what':44} {'callers':>7} {'peak MiB':>8}  answers"


class Crowd:
    """Callers of one server, among whom one asks small things, and must be answered."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.worst = 0.0
        self._small, _ = verification_of(served.folder)

    def come(self, what: str, ask: Callable[[Served], str], callers: int = CALLERS) -> Counter[str]:
        """Lets each do it once; what became of it."""
        codes: Counter[str] = Counter()
        small: Counter[int] = Counter()
        over = threading.Event()

        def ask_small() -> None:
            while not over.is_set():
                with contextlib.closing(self._served.connection(60)) as connection:
                    small[posted(connection, "/invocations", self._small).status] += 1

        beside = threading.Thread(target=ask_small)
        crowd = [threading.Thread(target=lambda: codes.update([ask(self._served)])) for _ in range(callers)]
        self._forget_peak()
        for thread in (beside, *crowd):
            thread.start()
        for thread in crowd:
            thread.join()
        over.set()
        beside.join()
        self.worst = max(self.worst, self._served.peak_mib)
        print(f"{what:44} {callers:>7} {self._served.peak_mib:8.0f}  {_told(codes)}; small: {_told(small)}")
        assert set(small) == {200}, what
        return codes

    def _forget_peak(self) -> None:
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._served.process.pid}/clear_refs").write_text("5")


def _told(codes: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{count} × {code}" for code, count in sorted(codes.items(), key=str))


def asking(request: Greedy) -> Callable[[Served], str]:
    def ask(served: Served) -> str:
        with contextlib.closing(served.connection(60)) as connection:
            connection.request("POST", request.path, request.body, {"content-type": request.kind} | request.headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status != 503 or answer.headers["retry-after"]
            return str(answer.status)

    return ask


def leaving(request: Greedy, times: int) -> Callable[[Served], str]:
    """Asks and goes, again and again."""
    raw = request.raw()

    def ask(served: Served) -> str:
        for _ in range(times):
            with contextlib.suppress(OSError), contextlib.closing(served.socket(60)) as client:
                client.sendall(raw)
        return "left"

    return ask


def never_reading(request: Greedy, times: int, kept: contextlib.ExitStack) -> Callable[[Served], str]:
    """Asks, and takes no answer."""
    raw = request.raw()

    def ask(served: Served) -> str:
        for _ in range(times):
            client = kept.enter_context(contextlib.closing(served.socket(60)))
            with contextlib.suppress(OSError):
                client.sendall(raw)
        return "not taken"

    return ask


@pytest.fixture
def crowd(model: Path, tmp_path: Path) -> Iterator[Crowd]:
    with serving(model, "--log-folder", str(tmp_path), "--log-flush", "1") as served:
        print(f"\n{TOLD}\n{'nobody':44} {'':7} {served.memory_mib:8.0f}")
        yield Crowd(served)


def tried(crowd: Crowd, kinds: dict[str, Greedy], times: int) -> None:
    for name, request in kinds.items():
        for code in crowd.come(name, asking(request)):
            assert code in {"200", "400", "413", "422", "503"}, name
    for name in {"a long text", "rows of wide texts"} & kinds.keys():
        request = kinds[name]
        crowd.come(f"{name}, compressed", asking(request.compressed()), 4 * CALLERS)
        crowd.come(f"{name}, gone before the answer", leaving(request, times))
    with contextlib.ExitStack() as kept:
        crowd.come("rows of wide texts, no answer taken", never_reading(kinds["rows of wide texts"], times, kept))
    assert crowd.worst < POD_MIB


def test_greedy_bodies_take_no_more_than_a_pod_has(crowd: Crowd) -> None:
    kinds = greedy_bodies()
    tried(crowd, {name: kinds[name] for name in SAMPLE}, 2)


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_no_kind_of_body_takes_more_than_a_pod_has(crowd: Crowd) -> None:
    tried(crowd, greedy_bodies(), 5)
