"""Whole batches of all roles against a reference that starts from the table."""

import logging

import numpy as np
import pytest
import torch

from tests.data.units import OPTIONS, Reference, make_units, windows_in
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule

WINDOWS = ("ctxt_seq_len", "tgt_seq_len", "target_lags")
SEQUENCES = {name: value for name, value in OPTIONS.items() if name not in WINDOWS}
TRAINING = 0.7


def write(frame, path):
    frame.to_parquet(path)
    return str(path)


@pytest.fixture
def table(tmp_path):
    return write(make_units(), tmp_path / "units.parquet")


@pytest.fixture
def holed(tmp_path):
    return write(make_units(holes=True), tmp_path / "holed.parquet")


def fitted(path, kind=EncoderDecoderDataModule, **options):
    base = OPTIONS if kind is EncoderDecoderDataModule else SEQUENCES
    data = kind(**{**base, "train_df_paths": path, **options})
    data.setup("fit")
    return data


def place_of(mask):
    """Return the rows of data of a padded row."""
    return np.flatnonzero(mask)


def assert_equals(batch, reference):
    """Compare a batch with a reference, window by window; on padding there must be 0."""
    sides = {"encoder_": "encoder_mask", "decoder_": "decoder_mask", "target": "decoder_mask"}
    for row, (number, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
        lengths = (int(batch[f"{side}_lengths"][row]) for side in ("encoder", "decoder"))
        expected = reference.window(int(number), int(origin), *lengths)
        for key, values in expected.items():
            found = batch[key][row]
            side = next((mask for prefix, mask in sides.items() if key.startswith(prefix)), None)
            if side is not None:
                mask = batch[side][row]
                assert (found[~mask] == 0).all(), key
                found = found[mask]
            np.testing.assert_allclose(found.double(), values, rtol=1e-9, atol=1e-9, err_msg=key)
            assert found.dtype == (torch.int64 if "categories" in key else batch[key].dtype)


@pytest.mark.parametrize("normalize", ["global", "series", "window"])
@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("alignments", [("left", "left"), ("right", "right")])
def test_batches_of_all_roles_equal_the_reference(table, holed, normalize, missing, alignments):
    masked = missing == "mask"
    data = fitted(
        holed if masked else table,
        normalize=normalize,
        missing=missing,
        val_fraction=1 - TRAINING,
        randomize_seq_len=True,
        min_ctxt_seq_len=3,
        min_tgt_seq_len=2,
        encoder_alignment=alignments[0],
        decoder_alignment=alignments[1],
    )
    reference = Reference(make_units(holes=masked), data, TRAINING)
    for loader, whole in ((data.train_dataloader(), False), (data.val_dataloader(), True)):
        (batch,) = loader
        assert set(batch["series"].tolist()) == {0, 1, 2}
        assert batch["encoder_mask"].all() == batch["decoder_mask"].all() == whole
        assert_equals(batch, reference)
        assert torch.isfinite(batch["target"]).all()
        unobserved = batch["decoder_mask"] & ~batch["target_mask"]
        assert unobserved.any() == masked
        for key in ("encoder_categories", "decoder_categories", "static_categories"):
            assert (batch[key].amax(dim=tuple(range(batch[key].ndim - 1))) > 0).all()


def test_windows_are_all_those_there_are(table):
    data = fitted(table, val_fraction=1 - TRAINING)
    for loader, stage in ((data.train_dataloader(), "train"), (data.val_dataloader(), "val")):
        (batch,) = loader
        found = set(zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True))
        expected = set()
        for number, (_, unit) in enumerate(make_units().groupby("unit")):
            split = len(unit) - int(len(unit) * (1 - TRAINING))
            own = (0, split) if stage == "train" else (split, len(unit))
            unit = unit.reset_index(drop=True)
            expected |= {(number, origin) for origin in windows_in(unit, *own)}
        assert found == expected
        assert len(batch["series"]) == len(expected)


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("alignment", ["left", "right"])
def test_sequences_of_all_roles_equal_the_reference(table, holed, missing, alignment):
    masked = missing == "mask"
    data = fitted(
        holed if masked else table,
        TimeSeriesDataModule,
        missing=missing,
        val_fraction=1 - TRAINING,
        seq_len=8,
        min_seq_len=4,
        randomize_seq_len=True,
        alignment=alignment,
    )
    reference = Reference(make_units(holes=masked), data, TRAINING)
    names = list(data.columns.encoder_features(add_target=False))
    assert len(names) == data.num_features
    (batch,) = data.train_dataloader()
    assert not batch["mask"].all()
    for row, (number, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
        mask, first = batch["mask"][row], int(origin) + 1
        rows = reference.features[number][first : first + int(batch["lengths"][row])].copy()
        rows["time"] = (rows["seconds"] - rows["seconds"].iloc[0]) / data.scaling.time_scale
        for key, values in (
            ("input", rows[names]),
            ("categories", rows[["mode", "dayofweek", "alarm"]]),
            ("target", rows[["y"]]),
        ):
            np.testing.assert_allclose(batch[key][row][mask], values, rtol=1e-9, atol=1e-9)
            assert (batch[key][row][~mask] == 0).all()
        np.testing.assert_array_equal(batch["target_mask"][row][mask], rows["y_observed"] == 1)


def test_a_category_of_validation_alone_is_unknown_and_told(table, caplog):
    with caplog.at_level(logging.WARNING):
        data = fitted(table, val_fraction=1 - TRAINING)
        (batch,) = data.val_dataloader()
    assert "late" in make_units()["mode"].tolist()
    assert data.vocabularies.texts["mode"] == ["07", "7", "auto"]
    assert (batch["decoder_categories"][..., 0] == 0).any()
    told = [text for text in caplog.messages if "that training did not have" in text]
    assert any("'mode'" in text and "'late'" in text for text in told)


def test_statics_of_units_that_training_did_not_have(table, tmp_path):
    other = make_units()[lambda rows: rows["unit"] == "u1"].assign(unit="u9", site="moon", power=4)
    own = {"val_df_paths": write(other, tmp_path / "other.parquet"), "normalize": "series"}
    data = fitted(table, **own)
    (batch,) = data.val_dataloader()
    assert (batch["static_categories"] == 0).all()
    powers = np.array([1.5, 2.5, 3.5])
    np.testing.assert_allclose(batch["static_input"], (4 - powers.mean()) / powers.std())
    assert (batch["statistics"] == 0).all()
    (batch,) = data.train_dataloader()
    np.testing.assert_array_equal(batch["statistics"], batch["series"] + 1)


# what is set to zero, and noise


def test_masked_features_are_zero_and_nothing_else_changes(table):
    names = ["y", "time", "hour_cos", "y_lag_6"]
    plain, data = (
        fitted(table, shuffle=False, **own) for own in ({}, {"mask_encoder_features": names})
    )
    features = list(data.columns.encoder_features(True))
    places = [features.index(name) for name in names]
    others = [place for place in range(len(features)) if place not in places]
    (expected,), loader = plain.train_dataloader(), data.train_dataloader()
    for _ in range(2):  # the stored columns stay as they are
        (batch,) = loader
        assert (batch["encoder_input"][..., places] == 0).all()
        assert torch.equal(
            batch["encoder_input"][..., others], expected["encoder_input"][..., others]
        )
        for key in ("decoder_input", "target"):
            assert torch.equal(batch[key], expected[key])


def epoch_of(data, epoch):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    (batch,) = loader
    return batch


def test_noise_is_drawn_anew_in_each_epoch_and_again_after_a_resume(holed):
    own = {
        "missing": "mask",
        "shuffle": False,
        "val_fraction": 0.3,
        "randomize_seq_len": True,
        "min_ctxt_seq_len": 3,
        "min_tgt_seq_len": 1,
    }
    plain, data, resumed = (
        fitted(holed, **own, noise_std=std, mask_encoder_features="set") for std in (0, 0.3, 0.3)
    )
    for other in (plain, resumed):
        other.load_state_dict(data.state_dict())
    batches = [epoch_of(data, 0), epoch_of(data, 1)]
    for epoch, batch in enumerate(batches):
        clean, again = epoch_of(plain, epoch), epoch_of(resumed, epoch)
        drawn = []
        for side, names in (
            ("encoder", data.columns.encoder_features(True)),
            ("decoder", data.columns.decoder_features),
        ):
            key, mask = f"{side}_input", batch[f"{side}_mask"]
            assert torch.equal(batch[key], again[key])
            noise = batch[key] - clean[key]
            assert (noise[~mask] == 0).all()
            assert (~mask).any()
            still = [
                name.endswith("_observed") or (name, side) == ("set", "encoder") for name in names
            ]
            assert (noise[..., still] == 0).all()
            drawn.append(noise[mask][:, [not one for one in still]].ravel())
        both = torch.cat(drawn)
        assert abs(float(both.std()) / 0.3 - 1) < 0.1
        assert abs(float(both.mean())) < 0.03
        assert not set(drawn[0].tolist()) & set(drawn[1].tolist())
        assert torch.equal(batch["target"], clean["target"])
    noises = [batch["encoder_input"][0, 0] for batch in batches]
    assert not torch.equal(noises[0], noises[1])
    (one,), (other,) = data.val_dataloader(), plain.val_dataloader()
    assert torch.equal(one["encoder_input"], other["encoder_input"])


def test_a_column_that_ends_like_an_indicator_takes_noise(tmp_path):
    frame = make_units().rename(columns={"set": "cloud_observed"})
    names = {"known_covariates": ["cloud_observed", "mode"], "shuffle": False}
    path = write(frame, tmp_path / "units.parquet")
    plain, noisy = (epoch_of(fitted(path, **names, noise_std=std), 0) for std in (0, 0.1))
    place = fitted(path, **names).columns.decoder_features.index("cloud_observed")
    noise = (noisy["decoder_input"] - plain["decoder_input"])[..., place]
    assert (noise != 0).all()
