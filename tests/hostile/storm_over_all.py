"""A storm over all listeners of a platform at once, and a table of what they answered and what they took."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.hostile.attacked import Attacked
from tests.hostile.footprint import Footprint, Watch
from tests.hostile.listener_storm import ListenerStorm
from tests.hostile.listeners import Listener

# How many of all requests each listener gets, by how its name begins.
SHARES = {
    "gateway": 20, "Envoy's uploads": 8, "Envoy's admin": 7, "Prefect's worker": 3, "Prefect for one command": 4,
    "Prefect": 12, "MLflow": 12, "control service": 10, "supervisord": 5, "warm process": 1, "fork server": 1,
    "model server": 6, "pod: users": 6, "pod: copies": 3, "pod: copied": 3,
}  # fmt: skip
# MiB by which a process may grow while it is attacked; what is kept afterwards may be half of it.
BOUNDS = {
    "gateway": 600.0, "prefect-server": 200.0, "prefect-for-one-command": 200.0, "mlflow-server": 200.0,
    "control": 200.0, "supervisord": 30.0, "warm": 400.0, "forkserver": 600.0, "prefect-worker": 60.0,
}  # fmt: skip
_OF_A_MODEL = 600.0
_MORE_FILES = 60
_MORE_THREADS = 120
_MOST_DISK_MIB = 400.0


def bound_of(process: str) -> float:
    """In MiB, of a program by its name."""
    return BOUNDS.get(process, _OF_A_MODEL)


def storm_over_all(attacked: Attacked, listeners: Sequence[Listener], requests: int, seed: int) -> None:
    """Raises `AssertionError` for whatever is wrong, after the tables."""
    whole = sum(_share(each) for each in listeners)
    storms = [(ListenerStorm(each, seed), 1 + requests * _share(each) // whole) for each in listeners]
    disk, began, before = attacked.size_mib(), attacked.counted(), attacked.fed
    watch = Watch(attacked.processes)
    with watch.looking(), ThreadPoolExecutor(len(storms)) as several:
        list(several.map(lambda each: each[0].run(each[1], attacked.legal), storms))
    watch.settle()
    wrong = [f"{storm.listener.name}: {each}" for storm, _ in storms for each in storm.wrong]
    wrong += _told(watch, [storm for storm, _ in storms], seed) + attacked.said()
    grown = attacked.size_mib() - disk
    print(f"\ndisk of the home: {grown:+.0f} MiB")
    if grown > _MOST_DISK_MIB:
        wrong.append(f"the home grew by {grown:.0f} MiB")
    if (counted := attacked.counted() - began) != (fed := attacked.fed - before):
        wrong.append(f"{counted} values of feedback were stored, and only {fed} were legal")
    assert not wrong, "\n".join(wrong)


def _share(listener: Listener) -> int:
    return next(share for name, share in SHARES.items() if listener.name.startswith(name))


def _told(watch: Watch, storms: Sequence[ListenerStorm], seed: int) -> list[str]:
    total = sum(storm.sent for storm in storms)
    looks = sum(storm.looks for storm in storms)
    print(f"\nseed {seed}: {total} requests, {looks} looks at legal users between them\n")
    print("| listener | requests | answers |\n| --- | --- | --- |")
    for storm in storms:
        print(storm.row())
    print("\n| process | MiB before / peak / after | may grow by | files before / peak / after | threads, peak |")
    print("| --- | --- | --- | --- | --- |")
    for footprint in watch.found.values():
        print(footprint.row(bound_of(footprint.name)))
    return [f"{name} is another process now" for name in watch.restarted] + [
        problem for footprint in watch.found.values() for problem in _beyond(footprint)
    ]


def _beyond(footprint: Footprint) -> list[str]:
    bound, wrong = bound_of(footprint.name), []
    if footprint.peak - footprint.before > bound:
        wrong.append(f"{footprint.name} took {footprint.peak:.0f} MiB, {footprint.before:.0f} before")
    if footprint.after - footprint.before > bound / 2:
        wrong.append(f"{footprint.name} keeps {footprint.after:.0f} MiB, {footprint.before:.0f} before")
    if footprint.files_after > footprint.files_before + _MORE_FILES:
        wrong.append(f"{footprint.name} keeps {footprint.files_after} files open, {footprint.files_before} before")
    if footprint.threads_peak > _MORE_THREADS:
        wrong.append(f"{footprint.name} had {footprint.threads_peak} threads")
    return wrong
