"""Categories to numbers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.spans import spans_before
from transformertf.data.columns import Columns
from transformertf.data.scaling import vocabulary
from transformertf.data.scaling.vocabulary import Vocabularies
from transformertf.data.series import Codes, Series

COLUMNS = Columns(
    (),
    (),
    "y",
    None,
    known_categories=("day",),
    past_categories=("mode",),
    static_categories=("x",),
)


def make_codes(values, texts=None):
    texts = sorted({value for value in values if value is not None}) if texts is None else texts
    places = [-1 if value is None else list(texts).index(value) for value in values]
    return Codes(np.array(places, np.int32), texts)


def make_series(day, mode, x, name="s", texts=None):
    categories = (make_codes(day, texts), make_codes(mode))
    return Series(
        name, np.zeros((len(day), 1)), None, len(day), categories=categories, static_texts=(x,)
    )


def fitted(series, ends=None):
    vocabularies = Vocabularies(COLUMNS)
    vocabularies.fit(series, spans_before(series, ends))
    return vocabularies


def test_numbers_are_those_of_the_sorted_texts_from_one_on():
    series = [
        make_series(["b", "a", None], ["u", "u", "u"], "red"),
        make_series(["10", "b"], ["v", None], "blue"),
    ]
    found = fitted(series)
    assert found.texts == {"day": ["10", "a", "b"], "mode": ["u", "v"], "x": ["blue", "red"]}
    assert found.codes(series[0]).tolist() == [[3, 1], [2, 1], [0, 1]]
    assert found.codes(series[1]).tolist() == [[1, 2], [3, 0]]
    assert found.static_codes(series[0]).tolist() == [2]
    assert found.sizes(("mode", "day", "x")) == (3, 4, 3)
    assert found.codes(series[0]).dtype == np.int32
    assert found.codes(series[0], np.int64).dtype == np.int64
    assert found.static_codes(series[0]).dtype == np.int64


def test_unknown_and_missing_values_are_zero():
    found = fitted([make_series(["a"], ["u"], "red")])
    other = make_series(["a", "new", None, "new", "more"], ["u"] * 5, "green")
    assert found.codes(other)[:, 0].tolist() == [1, 0, 0, 0, 0]
    assert found.static_codes(other).tolist() == [0]
    assert found.static_codes(make_series(["a"], ["u"], None)).tolist() == [0]
    assert found.unknown(other) == {"day": {"new": 2, "more": 1}, "x": {"green": 1}}
    assert found.unknown(make_series(["a", None], ["u", "u"], None)) == {}


def test_only_training_rows_count_and_only_texts_that_occur():
    series = [
        make_series(["a", "b", "c"], ["u"] * 3, "red", texts=("d", "c", "b", "a")),
        make_series(["e"], ["w"], "blue"),
    ]
    found = fitted(series, [2, 0])
    assert found.texts == {"day": ["a", "b"], "mode": ["u"], "x": ["red"]}
    assert found.unknown(series[0]) == {"day": {"c": 1}}


def test_series_of_one_panel_share_their_texts():
    texts = ("q", "p", "o")
    series = [make_series([text], ["u"], None, texts=texts) for text in "opq"]
    other = make_series(["q", "z"], ["u", "u"], None, texts=("z", "q"))
    found = fitted([series[0], other, *series[1:]])
    assert found.texts["day"] == ["o", "p", "q", "z"]
    rows = [found.codes(item)[0, 0] for item in (*series, other, series[0])]
    assert rows == [1, 2, 3, 3, 1]


def test_a_second_fit_forgets_the_first():
    found = fitted([make_series(["a"], ["u"], "red")])
    again = make_series(["b"], ["v"], "blue")
    assert found.codes(again).tolist() == [[0, 0]]
    found.fit([again], [[(0, 1)]])
    assert found.texts == {"day": ["b"], "mode": ["v"], "x": ["blue"]}
    assert found.codes(again).tolist() == [[1, 1]]


def test_a_column_without_any_value_has_only_the_zero():
    found = fitted([make_series([None, None], ["u", "u"], None)])
    assert found.sizes(("day", "x")) == (1, 1)


def test_state_is_primitives_and_makes_equal_vocabularies():
    series = make_series(["b", "a"], ["u", "u"], "red")
    state = fitted([series]).state_dict()
    assert json.loads(json.dumps(state)) == state
    fresh = Vocabularies(COLUMNS)
    fresh.load_state_dict(state)
    np.testing.assert_array_equal(fresh.codes(series), [[2, 1], [1, 1]])
    assert fresh.state_dict() == state


@settings(max_examples=50, deadline=None)
@given(
    training=st.lists(st.sampled_from([*"abcdef", None]), min_size=1, max_size=30),
    other=st.lists(st.sampled_from([*"abcdefgh", None]), min_size=1, max_size=30),
    end=st.integers(1, 30),
    piece=st.sampled_from([1, 4, 100]),
)
def test_pieces_are_those_of_a_dictionary(training, other, end, piece):
    end = min(end, len(training))
    seen = sorted({text for text in training[:end] if text is not None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "PIECE", piece)
        found = fitted([make_series(training, ["u"] * len(training), "red")], [end])
        item = make_series(other, ["u"] * len(other), "red")
        codes, unknown = found.codes(item)[:, 0].tolist(), found.unknown(item)
    assert found.texts["day"] == seen
    assert codes == [seen.index(text) + 1 if text in seen else 0 for text in other]
    strange = {text for text in other if text is not None and text not in seen}
    assert unknown.get("day", {}) == {text: other.count(text) for text in strange}


def test_without_categories_there_are_no_columns():
    columns = Columns(("k",), (), "y", None)
    found, item = Vocabularies(columns), Series("s", np.zeros((3, 2)), None, 3)
    found.fit([item], [[(0, 3)]])
    assert found.codes(item).shape == (3, 0)
    assert found.static_codes(item).shape == (0,)
    with pytest.raises(KeyError):
        found.sizes(("k",))
