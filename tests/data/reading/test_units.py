"""A header that differs in its unit alone is not taken for a misspelt one."""

import pytest

from transformertf.data.reading.headers import match_columns
from transformertf.data.reading.units import other_unit
from transformertf.errors import InputError


@pytest.mark.parametrize(
    ("wanted", "found", "scale"),
    [
        ("[A]", "[kA]", "1000"),
        ("[kA]", "[A]", "0.001"),
        ("[mT]", "[T]", "1000"),
        ("[µs]", "[ms]", "1000"),
        ("[m]", "[mm]", "0.001"),
        ("(T/s)", "(mT/s)", "0.001"),
        ("[bar]", "(mbar)", "0.001"),
        ("[Pa]", "[hPa]", "100"),
        ("[MW]", "[GW]", "1000"),
        # a prefix that counts twice, no prefix, and no factor at all
        ("[m²]", "[mm²]", "FACTOR"),
        ("[in]", "[min]", "FACTOR"),
        ("[°C]", "[K]", "FACTOR"),
    ],
)
def test_a_unit_that_differs_is_told_with_the_scale(wanted, found, scale):
    name, column = f"I_meas {wanted}", f"I_meas {found} "
    with pytest.raises(InputError) as error:
        match_columns([name], ["t", "I_meas", column], "run.csv")
    assert "did you mean" not in str(error.value)
    assert str(error.value) == (
        f"run.csv: no column {name!r}; {column!r} is in another unit, and so are its values: bring "
        f'them to {wanted[1:-1]} with rename: {{"{name}": {{from: "{column}", scale: {scale}}}}}'
    )


@pytest.mark.parametrize("header", ["U_meas [kA]", "I_meas", "I_means [A]", "[A]", "I_meas [A"])
def test_other_names_are_hinted_at_as_ever(header):
    assert other_unit("I_meas [A]", [header]) is None


def test_a_name_without_a_unit_has_no_other():
    assert other_unit("load", ["load [MW]"]) is None
