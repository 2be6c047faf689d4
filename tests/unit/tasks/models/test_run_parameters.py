from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_param

from tasks.models.run_parameters import LONGEST_VALUE, run_parameters

NAMES = st.one_of(
    st.text(max_size=20), st.text(alphabet="a./ _-:(=)", max_size=12), st.text(min_size=240, max_size=600)
)


@given(st.dictionaries(NAMES, st.one_of(st.text(max_size=9), st.just("x" * 7000)), max_size=12))
def test_whatever_a_step_is_called_mlflow_takes_it_and_nothing_is_lost(params: dict[str, str]) -> None:
    written = run_parameters(params)

    assert len(written) == len(params)
    assert [value[:9] for value in written.values()] == [value[:9] for value in params.values()]
    for name, value in written.items():
        _validate_param(name, value)
        assert len(name) > 0
        assert len(value) <= LONGEST_VALUE


def test_names_that_mlflow_takes_stay_as_they_are() -> None:
    params = {"model.lr2__C": "1.0", "model.fold/1": "a", "seed": "7"}

    assert run_parameters(params) == params


def test_two_names_that_become_one_stay_two() -> None:
    assert len(run_parameters({"lr(C=1)": "1", "lr[C=1]": "2", "lr_C_1_": "3"})) == 3
