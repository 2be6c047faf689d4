"""The child process of `gx_process.py`: imports first, then one request from standard input and one answer."""

import os
import pickle
import sys

from deployments.errors import SeatrialError


def main() -> None:
    """Answer one request and end."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints stays out of the answer
    from tasks.data_validation.validate import validate_snapshot, warm_up

    warm_up()
    request = sys.stdin.buffer.read()
    if not request:
        return
    arguments = pickle.loads(request)  # noqa: S301 - our own parent's request
    try:
        answer: object = validate_snapshot(*arguments)
    except SeatrialError as error:
        answer = error
    answers.write(pickle.dumps(answer))
    answers.close()


if __name__ == "__main__":
    main()
