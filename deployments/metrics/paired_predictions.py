"""Pairs of predictions: what two versions said to the same request, joined by its id.

Two answers agree when every row that was kept agrees: labels (of probabilities: the likeliest class, which with two
classes is the threshold 0.5) when they are the same, numbers when they differ by at most the tolerance, relative to the
greater one. Where one version answered and the other failed, they disagree; where both failed there is no pair.
"""

import math
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from deployments.analysis.evidence import Pairs
from deployments.errors import MetricsUnreachable
from deployments.metrics.class_labels import same_label
from deployments.metrics.model_servers import Answers, Ask, ServerAnswer, Servers, answers_of, ask_directly

# Product and request ids to those labels that are known, as text.
Labels = Callable[[str, Sequence[str]], Mapping[str, str]]
Prediction = tuple[str | float, ...] | None

_MOST_WAITING = 20_000
_PAGE, _MOST_PAGES = 2_000, 10
_LABELS_AT_ONCE = 2_000
_SAME_NUMBER = 1e-9


@dataclass(slots=True)
class _Joining:
    """One product's pairs so far. `places`: by server, its epoch and how far its answers were read."""

    pairs: Pairs = field(default_factory=Pairs)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    waiting: OrderedDict[str, ServerAnswer] = field(default_factory=OrderedDict)
    disputed: OrderedDict[str, tuple[Prediction, Prediction]] = field(default_factory=OrderedDict)


class PairJoiner:
    """Compares the answers of two versions, in memory, from its first look at each server on.

    What a server had answered before that is left out, so that a joiner that starts anew after a crash counts no pair
    a second time. Memory and the work of one look are bounded: 20,000 answers wait for their other half, and as many
    disagreements for a label; the oldest go first. Safe for several threads.
    """

    def __init__(self, servers: Servers, labels: Labels, tolerance: float = 0.01, ask: Ask = ask_directly) -> None:
        self._servers, self._labels, self._tolerance, self._ask = servers, labels, tolerance, ask
        self._epoch = uuid.uuid4().hex
        self._joining: dict[str, _Joining] = {}
        self._lock = threading.Lock()

    def look(self, product: str) -> tuple[Pairs, str]:
        """All pairs so far, and the epoch since which they are counted.

        A label that comes later than its pair is found by a later look; which of the two was right is then settled for
        good. It is the nearer one where numbers are predicted, and only requests of one row are settled. Servers that
        do not answer are left out. Raises whatever `servers` and `labels` raise.
        """
        with self._lock:
            joining = self._joining.setdefault(product, _Joining())
            servers = [address for known in self._servers(product).values() for address in known]
            joining.places = {address: place for address, place in joining.places.items() if address in servers}
            for address in servers:
                self._read(address, joining)
            self._settle(product, joining)
            return joining.pairs, self._epoch

    def _read(self, address: str, joining: _Joining) -> None:
        """Join what the server has answered since the look before."""
        try:
            for _ in range(_MOST_PAGES):
                page = self._next_page(address, joining.places.get(address))
                joining.places[address] = (page.epoch, page.next)
                for answer in page.answers:
                    self._join(answer, joining)
                if page.next >= page.last:
                    return
        except MetricsUnreachable:
            return

    def _next_page(self, address: str, place: tuple[str, int] | None) -> Answers:
        if place is None:
            seen_first = answers_of(address, 0, 0, self._ask)
            return Answers(seen_first.epoch, seen_first.last, seen_first.last, ())
        epoch, after = place
        page = answers_of(address, after, _PAGE, self._ask)
        return page if page.epoch == epoch else answers_of(address, 0, _PAGE, self._ask)

    def _join(self, answer: ServerAnswer, joining: _Joining) -> None:
        other = joining.waiting.setdefault(answer.request_id, answer)
        if other.mirrored is answer.mirrored:  # the first half; or the same half again, asked a second time
            _forget_oldest(joining.waiting)
            return
        del joining.waiting[answer.request_id]
        stable, candidate = (other, answer) if answer.mirrored else (answer, other)
        self._compare(answer.request_id, stable.predicted, candidate.predicted, joining)

    def _compare(self, request_id: str, stable: Prediction, candidate: Prediction, joining: _Joining) -> None:
        if stable is None and candidate is None:
            return
        agree = self._agree(stable, candidate)
        joining.pairs += Pairs(compared=1, disagreed=int(not agree))
        if not agree and all(len(each) == 1 for each in (stable, candidate) if each is not None):
            joining.disputed[request_id] = (stable, candidate)
            _forget_oldest(joining.disputed)

    def _agree(self, one: Prediction, other: Prediction) -> bool:
        if one is None or other is None or len(one) != len(other):
            return False
        return all(self._same(left, right) for left, right in zip(one, other, strict=True))

    def _same(self, one: str | float, other: str | float) -> bool:
        if isinstance(one, str) or isinstance(other, str):
            return same_label(str(one), str(other))
        return math.isclose(one, other, rel_tol=self._tolerance, abs_tol=_SAME_NUMBER)

    def _settle(self, product: str, joining: _Joining) -> None:
        """Who was right, where a label has come; the others are asked for again once it is their turn."""
        asked = tuple(islice(joining.disputed, _LABELS_AT_ONCE))
        known = self._labels(product, asked) if asked else {}
        for request_id in asked:
            if request_id in known:
                joining.pairs += _settled(*joining.disputed.pop(request_id), known[request_id])
            else:
                joining.disputed.move_to_end(request_id)


def _settled(stable: Prediction, candidate: Prediction, label: str) -> Pairs:
    of_stable, of_candidate = _distance(stable, label), _distance(candidate, label)
    return Pairs(only_stable_right=int(of_stable < of_candidate), only_candidate_right=int(of_candidate < of_stable))


def _distance(prediction: Prediction, label: str) -> float:
    """How far from the truth: 0 or 1 for a class, the absolute error for a number; infinite for a failure."""
    if prediction is None:
        return math.inf
    if isinstance(prediction[0], str):
        return float(not same_label(prediction[0], label))
    try:
        return abs(prediction[0] - float(label))
    except ValueError:
        return math.inf


def _forget_oldest(entries: OrderedDict[str, ServerAnswer] | OrderedDict[str, tuple[Prediction, Prediction]]) -> None:
    if len(entries) > _MOST_WAITING:
        entries.popitem(last=False)
