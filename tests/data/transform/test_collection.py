"""Several transforms in a row, fitted together and named in a YAML."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data.transform import (
    AdaptiveSigmoidTransform,
    DeltaTransform,
    DiscreteFunctionTransform,
    DivideByXTransform,
    FixedPolynomialTransform,
    Log1pTransform,
    LogTransform,
    MaxScaler,
    MinMaxScaler,
    PolynomialTransform,
    SigmoidTransform,
    StandardScaler,
    TransformCollection,
)
from transformertf.data.transform.collection import Piece
from transformertf.errors import InputError

RNG = np.random.default_rng(5)
X = RNG.uniform(1, 3, 40)
Y = RNG.gamma(2.0, size=40) + 0.1


def test_in_order_and_back_in_reverse():
    chain = TransformCollection([LogTransform(), StandardScaler()]).fit(Y)
    logs = np.log(Y)
    expected = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(chain.transform(Y), expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(chain.inverse_transform(expected), Y, rtol=1e-12)
    single = torch.from_numpy(Y).float()
    assert chain.transform(single).dtype == torch.float32
    torch.testing.assert_close(chain.inverse_transform(chain.transform(single)), single)


def test_each_is_fitted_to_what_those_before_make():
    parts: list[Any] = [StandardScaler(), AdaptiveSigmoidTransform(), MinMaxScaler()]
    chain = TransformCollection(parts).fit(Y)
    assert parts[1].x0 == pytest.approx(0.0, abs=1e-12)
    assert parts[1].k == pytest.approx(1.0)
    scaled = chain.transform(Y)
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)
    np.testing.assert_allclose(chain.inverse_transform(scaled)[1:-1], Y[1:-1], rtol=1e-9)


def test_several_series_are_fitted_as_one():
    def make():
        return TransformCollection([Log1pTransform(), StandardScaler(), MaxScaler()])

    series = [(Y[:5],), (Y[5:30],), (Y[30:],)]
    found, whole = make().fit_series(series), make().fit(Y)
    np.testing.assert_allclose(found.transform(Y), whole.transform(Y), rtol=1e-10, atol=1e-12)
    found.fit_series(series)
    np.testing.assert_allclose(found.transform(Y), whole.transform(Y), rtol=1e-10, atol=1e-12)
    pairs = TransformCollection([PolynomialTransform(1), StandardScaler()])
    pairs.fit_series([(X[:9], Y[:9]), (X[9:], Y[9:])])
    rest = Y - np.polyval(np.polyfit(X, Y, 1), X)
    np.testing.assert_allclose(pairs.transform(X, Y), rest / rest.std(), rtol=1e-9, atol=1e-9)


class Lazily:
    """Series that are made anew each time they are gone through, one at a time."""

    def __init__(self, series):
        self.series = series
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        for item in self.series:
            yield tuple(column.copy() for column in item)


def test_series_may_come_lazily_once_for_each_that_learns():
    series = [(X[:9], Y[:9]), (X[9:], Y[9:])]
    parts: Any
    for parts, passes in (
        ([LogTransform(), FixedPolynomialTransform([1.0])], 0),
        ([LogTransform(), DivideByXTransform()], 1),
        ([MaxScaler(), DeltaTransform(), PolynomialTransform(), StandardScaler()], 3),
    ):
        lazily = Lazily(series)
        found = TransformCollection(parts).fit_series(lazily)
        assert lazily.passes == passes
        state = found.state_dict()
        assert str(state) == str(found.fit_series(series).state_dict())
    with pytest.raises(InputError, match="found an iterator: give a list"):
        TransformCollection([MaxScaler()]).fit_series(iter(series))


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.sets(st.integers(1, 39), max_size=8),
    starts=st.sets(st.integers(1, 39), max_size=5),
    hole=st.integers(0, 39),
)
def test_differences_go_on_from_piece_to_piece_and_anew_at_each_stretch(cuts, starts, hole):
    starts = {0, *starts}
    y = Y.copy()
    y[hole] = np.nan
    pieces = []
    for rows in np.split(np.arange(40), sorted(cuts)):
        own = [int(row - rows[0]) for row in rows if row in starts]
        pieces.append(Piece(y[rows], X[rows], own))
    parts: list[Any] = [LogTransform(), DeltaTransform(), DivideByXTransform()]
    chain = TransformCollection(parts).fit(X, Y)
    found = np.concatenate([column for _, column in chain.transform_pieces(pieces)])
    stretches = np.split(np.arange(40), sorted(starts)[1:])
    expected = np.concatenate([chain.transform(X[rows], y[rows]) for rows in stretches])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(y, np.where(np.arange(40) == hole, np.nan, Y))
    whole = TransformCollection([DeltaTransform(), StandardScaler(), MaxScaler()])
    cut = TransformCollection([DeltaTransform(), StandardScaler(), MaxScaler()])
    whole.fit_series([(y[rows],) for rows in stretches])
    cut.fit_pieces(lambda: (Piece(piece.column, None, piece.starts) for piece in pieces))
    np.testing.assert_allclose(cut.transform(Y), whole.transform(Y), rtol=1e-10, atol=1e-12)


def test_an_empty_column_is_no_value():
    with pytest.raises(InputError, match="StandardScaler is not fitted"):
        TransformCollection([DeltaTransform(), StandardScaler()]).fit(()).transform(Y)


def test_one_learner_takes_pieces_wherever_it_stands():
    parts: Any
    for parts in ([LogTransform(), StandardScaler()], [MaxScaler(), Log1pTransform()]):
        chain = TransformCollection(parts).fit(Y)
        expected = chain.transform(Y)
        chain.reset()
        chain.partial_fit(np.full(3, np.nan)).partial_fit(Y[:7]).partial_fit(Y[7:])
        np.testing.assert_allclose(chain.transform(Y), expected, rtol=1e-12, atol=1e-13)


def test_pieces_are_refused_where_two_learn():
    chain = TransformCollection([MaxScaler(), LogTransform(), StandardScaler()])
    with pytest.raises(
        InputError, match=r"MaxScaler and StandardScaler learn .* use fit or fit_se"
    ):
        chain.partial_fit(Y)


def test_a_target_transform_takes_x_in_its_own_units():
    chain = TransformCollection([LogTransform(), DivideByXTransform(), StandardScaler()])
    chain.fit(X, Y)
    ratio = np.log(Y) / X
    expected = (ratio - ratio.mean()) / ratio.std()
    np.testing.assert_allclose(chain.transform(X, Y), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(chain.inverse_transform(X, expected), Y, rtol=1e-11)
    with pytest.raises(InputError, match="DivideByXTransform takes x and y, found one argument"):
        chain.fit(Y)
    with pytest.raises(InputError, match="DivideByXTransform takes x and y, found one argument"):
        chain.inverse_transform(Y)


def test_a_discrete_function_serves_with_one_argument_and_with_two():
    chain = TransformCollection([DiscreteFunctionTransform([0, 1], [5, 7]), MaxScaler()])
    chain.fit(Y)
    np.testing.assert_allclose(chain.transform(Y), (5 + 2 * Y) / (5 + 2 * Y).max(), rtol=1e-12)
    np.testing.assert_allclose(chain.inverse_transform(chain.transform(Y)), Y, rtol=1e-12)
    chain.fit(X, Y)
    rest = Y - 5 - 2 * X
    np.testing.assert_allclose(chain.transform(X, Y), rest / np.abs(rest).max(), rtol=1e-12)
    np.testing.assert_allclose(chain.inverse_transform(X, chain.transform(X, Y)), Y, rtol=1e-12)


def test_the_start_of_differences_is_in_the_column_s_unit():
    chain = TransformCollection([LogTransform(), DeltaTransform(), StandardScaler()]).fit(Y)
    table = torch.from_numpy(Y.reshape(4, 10))
    scaled = chain.transform(table[:, 3:], start=table[:, 2])
    torch.testing.assert_close(scaled, chain.transform(table)[:, 3:])
    back = chain.inverse_transform(scaled, start=table[:, 2])
    torch.testing.assert_close(back, table[:, 3:])
    steps = np.diff(np.log(Y), prepend=np.log(Y[0]))
    np.testing.assert_allclose(
        chain.transform(Y), (steps - steps.mean()) / steps.std(), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(chain.inverse_transform(chain.transform(Y), start=Y[0]), Y)
    with pytest.raises(InputError, match="the inverse needs start"):
        chain.inverse_transform(Y)


def test_differences_before_a_target_transform():
    chain = TransformCollection([DeltaTransform(), DivideByXTransform()]).fit(X, Y)
    expected = np.diff(Y, prepend=0.5) / X
    np.testing.assert_allclose(chain.transform(X, Y, start=0.5), expected, rtol=1e-13)
    np.testing.assert_allclose(chain.inverse_transform(X, expected, start=0.5), Y, rtol=1e-12)


def test_the_state_survives_a_file_of_weights_only():
    def make():
        return TransformCollection([LogTransform(), PolynomialTransform(2), StandardScaler()])

    chain, other, file = make().fit(X, Y), make(), io.BytesIO()
    torch.save(chain.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.transform(X, Y), chain.transform(X, Y))
    with pytest.raises(InputError, match="is that of LogTransform, PolynomialTransform, Stand"):
        TransformCollection([LogTransform()]).load_state_dict(state)


def test_an_empty_list_changes_nothing():
    chain = TransformCollection([]).fit(Y)
    np.testing.assert_array_equal(chain.inverse_transform(chain.transform(Y)), Y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: TransformCollection([DivideByXTransform(), PolynomialTransform()]),
            "at most one TargetTransform, found 2: DivideByXTransform, PolynomialTransform",
        ),
        (
            lambda: TransformCollection([DeltaTransform(), DeltaTransform()]),
            "at most one DeltaTransform, found 2",
        ),
        (
            lambda: TransformCollection(["LogTransform"]),  # type: ignore[list-item]  # refused
            "expected transforms, found 'LogTransform': make them with make_transform",
        ),
        (
            lambda: TransformCollection([DivideByXTransform(), DeltaTransform()]).fit(X, Y),
            "found DeltaTransform after DivideByXTransform, .* put DeltaTransform first",
        ),
        (
            lambda: TransformCollection([LogTransform()]).fit(X, Y),
            "found x and y, but none of its transforms depends on another column",
        ),
        (
            lambda: TransformCollection([SigmoidTransform()]).transform(Y, start=1.0),
            "found start, but no DeltaTransform",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
