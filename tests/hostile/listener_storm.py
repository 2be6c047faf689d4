"""A storm over one listener: what was sent, how it was answered, and what must not be."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from tests.hostile.exchange import Client
from tests.hostile.listeners import Listener
from tests.hostile.requests import sent_to

_BETWEEN_LOOKS = 500
_MOST_WRONG = 5


@dataclass
class ListenerStorm:
    """`classes` counts answers as `2xx`, and `nothing` where the listener hung up or said nothing."""

    listener: Listener
    seed: int
    sent: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    looks: int = 0

    def run(self, requests: int, legal: Callable[[], str]) -> None:
        """Sends so many; `legal` says what is wrong with how legal users are served, and is asked now and then."""
        chance = random.Random(f"{self.seed} {self.listener.name}")  # each listener has a sequence of its own
        with closing(Client(self.listener)) as client:
            while self.sent < requests and len(self.wrong) < _MOST_WRONG:
                self._send(client, chance)
                if self.sent % _BETWEEN_LOOKS == 0:
                    self._look(legal)
        self._look(legal)

    def _look(self, legal: Callable[[], str]) -> None:
        self.looks += 1
        if problem := legal():
            self.wrong.append(f"after {self.sent} requests: {problem}")

    def _send(self, client: Client, chance: random.Random) -> None:
        sent = sent_to(self.listener, chance)
        self.sent += 1
        try:
            answers = client.answers(sent)
        except TimeoutError:
            self.wrong.append(f"no end of an answer to {sent.words!r:.600}")
            client.close()
            return
        except OSError as error:
            # To hang up is an answer; that the listener is still there, the looks tell.
            self.classes["nothing"] += 1
            if isinstance(error, ConnectionRefusedError | FileNotFoundError):
                self.wrong.append(f"nobody listens: {error!r}")
            return
        for status, content in answers:
            self.classes[f"{status // 100}xx" if status else "nothing"] += 1
            if problem := self.listener.wrong(sent, status, content):
                self.wrong.append(f"{problem}: {sent.words!r:.600} -> {content!r:.400}")

    def row(self) -> str:
        """Of a table."""
        told = ", ".join(f"{count} {name}" for name, count in sorted(self.classes.items()))
        return f"| {self.listener.name} | {self.sent} | {told} |"
