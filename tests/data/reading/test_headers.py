"""Names that are wanted, and those that tables have."""

import unicodedata

import pytest

from transformertf.data.reading.headers import match_columns
from transformertf.errors import InputError, nearest

COMPOSED = unicodedata.normalize("NFC", "Température")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize("wanted", [COMPOSED, DECOMPOSED, f" {DECOMPOSED}"])
@pytest.mark.parametrize("header", [COMPOSED, DECOMPOSED, f"{COMPOSED} ", f"\t{DECOMPOSED}"])
@pytest.mark.parametrize("optional", [(), "all"])
def test_blanks_around_and_forms_of_unicode_make_no_other_name(wanted, header, optional):
    assert COMPOSED != DECOMPOSED
    found = match_columns([wanted], ["y", header], "run.csv", optional and [wanted])
    assert found == {wanted: header}


def test_the_very_name_goes_first_and_another_one_is_another():
    header = ["x", " x", "X", "m²", "m2", DECOMPOSED, COMPOSED]
    assert match_columns(header, header, "run.csv") == {name: name for name in header}
    with pytest.raises(InputError, match="no column 'm³'"):
        match_columns(["m³"], header, "run.csv")
    assert match_columns(["z"], header, "run.csv", ["z"]) == {}


def test_a_name_of_several_columns_is_refused():
    with pytest.raises(InputError, match=r"run.csv: 2 columns are named 'x'; rename all but one"):
        match_columns(["x"], ["x ", " x"], "run.csv")


def test_two_names_of_one_column_are_refused():
    """A target that is a covariate too, written in another way, would be seen ahead."""
    with pytest.raises(InputError, match=r"run.csv: ' y' and 'y' are one column, 'y'; write"):
        match_columns([" y", "y"], ["x", "y"], "run.csv")


def test_a_hint_does_not_repeat_the_name_as_if_nothing_differed():
    assert "in another form of Unicode" in nearest(DECOMPOSED, ["a", COMPOSED])
    assert nearest("Temperatur", ["a", COMPOSED]) == f"did you mean {COMPOSED!r}?"
