"""The table of arguments, and what the constructors of both data modules take."""

import inspect
from typing import Any, Literal, get_args

import pytest

from transformertf.data import ARGUMENTS, EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.arguments import Bounds, choices_of, whole_signature
from transformertf.data.base import WindowDataModule
from transformertf.errors import InputError

MODULES = [EncoderDecoderDataModule, TimeSeriesDataModule]
PARAMETERS = {name: p for cls in MODULES for name, p in inspect.signature(cls).parameters.items()}


def test_the_table_has_a_row_for_each_argument_and_no_other():
    assert set(ARGUMENTS) == set(PARAMETERS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_rows_agree_with_types_and_defaults(name):
    row, parameter = ARGUMENTS[name], PARAMETERS[name]
    names_or_one = {str, list[str]} <= set(get_args(parameter.annotation))
    # of files, two lists of the same may still be two ways of saying it
    assert (row.names == "several") == (names_or_one and not name.endswith("_df_paths"))
    if row.bounds is not None:
        row.bounds.check(name, parameter.default)
    if row.whole_files is not None:
        assert row.whole_files.without == parameter.default


@pytest.mark.parametrize("cls", MODULES)
def test_the_signature_is_what_is_kept(cls):
    kept = {name for name in cls("y", "k").hparams if not name.startswith("_")}
    assert set(inspect.signature(cls).parameters) == kept
    assert next(iter(inspect.signature(cls).parameters)) == "target_covariate"
    shared = inspect.signature(WindowDataModule).parameters
    own = set(kept) - set(shared)
    assert own
    # what all take is declared once, but for a type that is narrower
    declared = set(inspect.signature(cls.__init__).parameters) - {"self", "args", "kwargs"}
    assert declared - own <= {"normalize"}


def test_signatures_of_other_subclasses():
    class Passing(TimeSeriesDataModule):
        def __init__(self, *args: Any, extra: int = 3, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    class Named(TimeSeriesDataModule):
        def __init__(self, extra: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    class Closed(TimeSeriesDataModule):
        def __init__(self, extra: int = 3) -> None:
            super().__init__("y", "k")

    base = inspect.signature(TimeSeriesDataModule).parameters
    assert set(inspect.signature(Passing).parameters) == {"extra", *base}
    inspect.signature(Passing).bind("y", "k")
    inspect.signature(Named).bind(target_covariate="y")
    with pytest.raises(TypeError):
        inspect.signature(Named).bind(3, "y")
    assert list(inspect.signature(Closed).parameters) == ["extra"]
    assert Closed().hparams["extra"] == 3
    assert whole_signature(Closed) == inspect.signature(Closed)


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        (Literal["a", "b"], ("a", "b")),
        (bool | Literal["batch"], (True, False, "batch")),
        (Literal["a"] | None, ("a", None)),
        (Literal["auto", False], ("auto", False)),
        (Literal["a"] | int, ()),
        (bool, ()),
        (str | None, ()),
        ("Literal['a']", ()),
    ],
)
def test_the_few_values_of_a_type(kind, choices):
    assert choices_of(kind) == choices


def test_narrower_types_have_fewer_choices():
    EncoderDecoderDataModule("y", normalize="window")
    with pytest.raises(InputError, match="normalize must not be 'window'; known: "):
        TimeSeriesDataModule("y", "k", normalize="window")  # type: ignore[arg-type]  # refused


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "n must be at least 0, found -1$"),
        (5, "n must be at most 4, found 5: too many$"),
        (float("nan"), "n must be a finite number, found nan$"),
    ],
)
def test_numbers_out_of_bounds_are_refused(value, message):
    Bounds(0, 4).check("n", 4)
    with pytest.raises(InputError, match=message):
        Bounds(0, 4, ": too many").check("n", value)
