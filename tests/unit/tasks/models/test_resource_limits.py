import resource
import threading

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info

from deployments.errors import BadModel
from tasks.models.resource_limits import resource_limits

linux_only = pytest.mark.skipif(not psutil.LINUX, reason="only Linux bounds the address space")


@linux_only
def test_more_memory_than_allowed_is_a_bad_model_that_says_so() -> None:
    with pytest.raises(BadModel, match=r"more than 256 MB .*SEATRIAL_TRAINING_MEMORY_MB"), resource_limits(1, 256):
        np.ones(2**30, dtype=np.uint8)


@linux_only
def test_the_memory_limit_is_gone_afterwards_also_after_an_error() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)

    with pytest.raises(ZeroDivisionError), resource_limits(1, 256):
        assert resource.getrlimit(resource.RLIMIT_AS) != before
        _ = 1 / 0

    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_numeric_libraries_get_no_more_threads_than_allowed() -> None:
    _ = np.ones((2, 2)) @ np.ones((2, 2))

    with resource_limits(1, 1024):
        threads = {each["num_threads"] for each in threadpool_info()}

    assert threads == {1}


def test_a_second_training_waits_for_the_first() -> None:
    order: list[str] = []
    inside, let_go = threading.Event(), threading.Event()

    def first() -> None:
        with resource_limits(1, 1024):
            inside.set()
            let_go.wait(60)
            order.append("first")

    def second() -> None:
        with resource_limits(1, 1024):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    inside.wait(60)
    threads[1].start()
    let_go.set()
    for thread in threads:
        thread.join(60)

    assert order == ["first", "second"]
