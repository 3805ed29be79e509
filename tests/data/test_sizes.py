"""What data modules tell models of their batches, in every combination of roles."""

import itertools
import logging

import pytest

from tests.data.units import OPTIONS, make_units
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError

# what may be there, or not
CHOICES = {
    "known_covariates": (None, ["set"], ["set", "mode"], "mode"),
    "known_past_covariates": (None, ["current", "alarm"]),
    "static_covariates": (None, "power", ["power", "site"]),
    "calendar": (None, "hour", ["hour", "dayofweek"]),
    "target_lags": (None, [4, 6]),
    "missing": ("error", "mask"),
    "add_target_to_past": (True, False),
}
CATEGORIES = ("mode", "alarm", "site", "dayofweek")


def combinations(*names):
    """Return every combination of the choices of these names."""
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(CHOICES[name] for name in names))
    ]


def make(kind, path, given):
    given = dict(given)
    fields = given.pop("calendar")
    options = {**given, "calendar_features": fields}
    named = [
        name for value in options.values() if isinstance(value, str | list)
        for name in ([value] if isinstance(value, str) else value)
    ]  # fmt: skip
    base = {
        "target_covariate": "y",
        "series_id": "unit",
        "categorical_covariates": [name for name in CATEGORIES if name in named],
        "time_column": None if fields is None else "time",
        "train_df_paths": path,
        "batch_size": 16,
    }
    lengths = {"ctxt_seq_len": 5, "tgt_seq_len": 3}
    return kind(**base, **options, **(lengths if kind is EncoderDecoderDataModule else {}))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("units") / "units.parquet"
    make_units().to_parquet(path)
    return str(path)


def widest(batch, key):
    """Return the width of a part of a batch, 0 where it is not there, and its largest number."""
    if key not in batch:
        return 0, None
    return batch[key].size(-1), batch[key].amax(dim=tuple(range(batch[key].ndim - 1))).tolist()


def assert_holds(sizes, batch, key):
    width, largest = widest(batch, key)
    assert len(sizes) == width
    if width:
        assert all(number < size for number, size in zip(largest, sizes, strict=True))


@pytest.mark.parametrize("given", combinations("known_covariates", "calendar", "missing"))
def test_sizes_are_those_of_the_batches(path, given):
    others = combinations(
        "known_past_covariates", "static_covariates", "target_lags", "add_target_to_past"
    )
    # all pairs would take long, and they do not meet: each one of the others in turn
    for own in others[::5]:
        data = make(EncoderDecoderDataModule, path, {**given, **own, "add_target_to_past": True})
        if not own["add_target_to_past"] and data.columns.encoder_features(False):
            data = make(EncoderDecoderDataModule, path, {**given, **own})
        # before any setup: the training files are read for it
        sizes = {
            "static_categories": data.static_category_sizes,
            "encoder_categories": data.past_category_sizes,
            "decoder_categories": data.future_category_sizes,
        }
        batch = next(iter(data.train_dataloader()))
        assert data.num_past_known_covariates == widest(batch, "encoder_input")[0]
        assert data.num_future_known_covariates == widest(batch, "decoder_input")[0] > 0
        assert data.num_static_features == widest(batch, "static_input")[0]
        for key, found in sizes.items():
            assert_holds(found, batch, key)


@pytest.mark.parametrize("calendar", CHOICES["calendar"])
@pytest.mark.parametrize("missing", CHOICES["missing"])
def test_sizes_of_sequences(path, calendar, missing):
    options = {
        "known_covariates": ["set", "mode"],
        "known_past_covariates": "alarm",
        "static_covariates": ["power", "site"],
        "missing": missing,
        "calendar": calendar,
    }
    data = make(TimeSeriesDataModule, path, {**options, "seq_len": 8})
    sizes = data.category_sizes
    batch = next(iter(data.train_dataloader()))
    assert data.num_features == widest(batch, "input")[0]
    assert data.num_static_features == 1
    assert_holds(sizes, batch, "categories")
    assert_holds(data.static_category_sizes, batch, "static_categories")


def test_sizes_are_those_of_the_vocabularies_and_of_whole_cycles(path):
    data = EncoderDecoderDataModule(train_df_paths=path, **OPTIONS)
    assert data.seed is None
    assert data.static_category_sizes == [3]
    assert data.known_category_sizes == data.future_category_sizes == [5, 8]
    assert data.past_category_sizes == [5, 8, 5]
    assert data.seed is not None
    fitted = data.state_dict()
    data.setup("fit")
    assert data.state_dict() == fitted


def test_sizes_without_files_ask_for_them(path):
    options = {name: value for name, value in OPTIONS.items() if name != "calendar_features"}
    options["categorical_covariates"] = ["mode", "alarm", "site"]
    data = EncoderDecoderDataModule(**options)
    with pytest.raises(InputError, match="not fitted: give a checkpoint, or train_df_paths"):
        _ = data.past_category_sizes
    fitted = EncoderDecoderDataModule(train_df_paths=path, **options)
    sizes = fitted.past_category_sizes
    data.load_state_dict(fitted.state_dict())
    assert data.past_category_sizes == sizes == [5, 5]


def test_unknown_values_are_told_once_in_a_fit(path, caplog):
    data = EncoderDecoderDataModule(train_df_paths=path, val_fraction=0.3, **OPTIONS)
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
        for _ in range(2):
            data.train_dataloader()
            data.val_dataloader()
    told = [text for text in caplog.messages if "'late'" in text]
    assert len(told) == 1
    assert "train_df_paths" in told[0]
