"""What each process takes while clients take as much as they are given, and whether everybody else is served."""

import threading

import pytest

from tests.hostile.attacked import Attacked
from tests.hostile.footprint import Watch
from tests.hostile.listeners import Listener
from tests.hostile.storm_over_all import bound_of
from tests.hostile.takers import ATTACKS, PROGRAMS, Attack

_PAUSE_SECONDS = 0.5


class Others:
    """Legal users, asked for as long as an attack lasts."""

    def __init__(self, attacked: Attacked) -> None:
        self.served, self.problems = 0, list[str]()
        self._attacked, self._done = attacked, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Others":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_PAUSE_SECONDS):
            if problem := self._attacked.legal():
                self.problems.append(problem)
            else:
                self.served += 1


def under_attack(attacked: Attacked, listener: Listener, attack: Attack) -> list[str]:
    """What was wrong; a line of the table is printed."""
    watch = Watch(attacked.processes)
    with watch.looking(), Others(attacked) as others:
        attack(listener)
    watch.settle()
    name, bound = PROGRAMS[listener.name], bound_of(PROGRAMS[listener.name])
    footprint = watch.found[name]
    told = f"{others.served} served, {len(others.problems)} not"
    print(f"| {attack.__name__.replace('_', ' ')} on {listener.name} {footprint.row(bound)} {told} |", flush=True)
    wrong = [f"{each} is another process now" for each in watch.restarted]
    if footprint.peak - footprint.before > bound:
        wrong.append(f"{name} took {footprint.peak:.0f} MiB, {footprint.before:.0f} before")
    if others.problems and not others.served:
        wrong.append(f"nobody else was served: {others.problems[-1:]}")
    if problem := attacked.legal():
        wrong.append(f"afterwards: {problem}")
    return [f"{attack.__name__} on {listener.name}: {each}" for each in wrong]


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_whoever_takes_as_much_as_he_is_given_is_given_no_more_than_a_bound(attacked: Attacked) -> None:
    print("\n| attack | process | MiB before / peak / after | may grow by | files | threads | others meanwhile |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    wrong = [
        problem
        for listener in attacked.listeners()
        for attack in ATTACKS.get(listener.name, ())
        for problem in under_attack(attacked, listener, attack)
    ]
    assert not wrong + attacked.said(), "\n".join(wrong)
