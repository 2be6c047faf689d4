import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.serving.nonblocking_output import Unwaiting


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_what_a_pipe_takes_comes_out_of_it(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    assert Unwaiting(writing).write(b"a line\n") == 7
    assert os.read(reading, 100) == b"a line\n"


def test_a_reader_that_stands_still_is_not_waited_for_and_gets_whole_lines_again(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = Unwaiting(writing)
    for _ in range(100):
        assert output.write(b"x" * 9_999 + b"\n") == 10_000
    held = os.read(reading, 10**6)
    assert len(held) < 10**6
    output.write(b"a line\n")
    assert os.read(reading, 100) in {b"\na line\n", b"a line\n"}


@pytest.mark.parametrize("end", [0, 1])
def test_a_reader_that_is_gone_or_an_output_that_a_model_closed_fails_for_nobody(
    pipe: tuple[int, int], end: int
) -> None:
    output = Unwaiting(pipe[1])
    os.close(pipe[end])
    assert output.write(b"a line\n") == 7


def test_a_terminal_or_a_file_is_left_as_it_is() -> None:
    """Others share what a terminal is open as."""
    before = os.get_blocking(sys.__stderr__.fileno())  # type: ignore[union-attr]
    with Path(os.devnull).open("wb") as file:
        Unwaiting(file.fileno())
        assert os.get_blocking(file.fileno())
    assert os.get_blocking(sys.__stderr__.fileno()) == before  # type: ignore[union-attr]
