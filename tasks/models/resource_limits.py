"""How much of the machine a training may take, so that it cannot starve what serves beside it."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from deployments.errors import BadModel

# The memory limit is the process's: two trainings at once would undo each other's.
_ONE_AT_A_TIME: Final = threading.Lock()


@contextlib.contextmanager
def resource_limits(cores: int, memory_mb: int) -> Iterator[None]:
    """Within the block numeric libraries use at most `cores` threads, and the process gets at most `memory_mb` more.

    Both are restored afterwards. Where the operating system limits no address space (not Linux), memory is not bounded.
    Raises `BadModel` if the block runs out of memory. One block at a time: a second one waits for the first.
    """
    from threadpoolctl import threadpool_limits

    with _ONE_AT_A_TIME, threadpool_limits(limits=cores), _bounded_memory(memory_mb * 2**20):
        try:
            yield
        except MemoryError as error:
            raise BadModel(
                f"training needs more than {memory_mb:,} MB ({error or 'no memory left'}): "
                "use fewer rows or a smaller model, or raise SEATRIAL_TRAINING_MEMORY_MB"
            ) from error


@contextlib.contextmanager
def _bounded_memory(more_bytes: int) -> Iterator[None]:
    import resource

    import psutil

    if not psutil.LINUX:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + more_bytes
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
