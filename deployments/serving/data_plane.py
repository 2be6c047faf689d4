"""A question in, answers out: what the server does, without HTTP and without a dialect."""

from typing import TYPE_CHECKING, Any

from deployments.serving.inference_request import Answers, Query
from deployments.serving.loaded_model import Model
from deployments.serving.model_metadata import Output

if TYPE_CHECKING:
    import numpy as np


class ModelFault(Exception):
    """The model raised what means something else to whoever runs it; `__cause__` is what it raised."""


def answers_of(model: Model, query: Query) -> Answers:
    """What `model` says of each row, for each output that is wanted. Raises `NotFinite`."""
    return {wanted.output: _rows(model, query, wanted.output) for wanted in query.wanted}


def guarded_answers_of(model: Model, query: Query) -> Answers:
    """The same, where a model's exception must end its own request and nothing else.

    A `StopIteration` would end a loop, a `CancelledError` somebody's task, a `SystemExit` the process: `ModelFault`
    stands for all that.
    """
    try:
        return answers_of(model, query)
    except (StopIteration, StopAsyncIteration) as error:
        raise ModelFault from error
    except Exception:
        raise
    except BaseException as error:
        raise ModelFault from error


def main_answer(answers: Answers) -> "np.ndarray[Any, Any]":
    """The one that says most: probabilities of the classes if they were wanted, else a class or number a row."""
    return answers[Output.PROBABILITY if Output.PROBABILITY in answers else Output.PREDICTION]


def _rows(model: Model, query: Query, output: Output) -> "np.ndarray[Any, Any]":
    return model.probabilities(query.batch) if output is Output.PROBABILITY else model.predictions(query.batch)
