"""A state carried in training: pieces are the sequence in one, whatever the cuts and padding."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import GRU, LSTM
from transformertf.models.common import check_horizon

ROWS = (53, 7, 40, 1, 26)


def make_frame(rows: tuple[int, ...] = ROWS) -> pd.DataFrame:
    """Return series of some lengths one after the other."""
    generator = np.random.default_rng(0)
    ids = np.repeat([f"s{number}" for number in range(len(rows))], rows)
    return pd.DataFrame(
        {
            "id": ids,
            "t": np.concatenate([np.arange(float(count)) for count in rows]),
            "u": generator.normal(5.0, 2.0, len(ids)),
            "y": generator.normal(-3.0, 4.0, len(ids)),
        }
    )


def make_data(rows: tuple[int, ...] = ROWS, **options: Any) -> TimeSeriesDataModule:
    data = TimeSeriesDataModule(
        **{
            "target_covariate": "y",
            "known_covariates": ["u"],
            "series_id": "id",
            "train_df_paths": "train.csv",
            "seq_len": 8,
            "batch_size": 3,
            "dtype": "float64",
            "carry_state": True,
            **options,
        }
    )
    data.stages.give("train_df_paths", make_frame(rows))
    torch.manual_seed(0)
    data.setup("fit")
    return data


def make_model(kind: type[LSTM | GRU], features: int = 1) -> Any:
    torch.manual_seed(1)
    model = kind(features, num_layers=2, d_model=4, dropout=0.3).double().eval()
    with torch.no_grad():
        for weight in model.parameters():  # such that what was long ago still shows
            weight.mul_(1.5)
    return model


def scaled(data: TimeSeriesDataModule) -> list[torch.Tensor]:
    """Return the scaled inputs and target (rows, 2) of each series."""
    frame = make_frame()
    values = frame[["u", "y"]].to_numpy()
    values = (values - values.mean(0)) / values.std(0)
    return [torch.from_numpy(values[(frame.id == f"s{i}").to_numpy()]) for i in range(len(ROWS))]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([LSTM, GRU]),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from(["left", "right"]),
    st.booleans(),
)
def test_pieces_are_the_sequence_in_one(
    kind: Any, steps: int, lanes: int, fresh: float, alignment: Any, random: bool
) -> None:
    lengths: dict[str, Any] = {"randomize_seq_len": "batch", "min_seq_len": 1} if random else {}
    data = make_data(
        seq_len=steps, batch_size=lanes, fresh_starts=fresh, alignment=alignment, **lengths
    )
    loader: Any = data.train_dataloader()
    model, whole = make_model(kind), scaled(data)
    begun: dict[int, tuple[int, int]] = {}
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            with torch.no_grad():
                output = model(batch)["output"]
                losses = model.calc_loss(output, batch) * batch["target_mask"].sum()
            expected = 0.0
            for lane, (series, origin, length, begins) in enumerate(
                zip(
                    *(batch[key].tolist() for key in ("series", "origin", "lengths", "begins")),
                    strict=True,
                )
            ):
                if begins:
                    begun[lane] = series, origin + 1
                assert begun[lane][0] == series
                rows = whole[series][begun[lane][1] : origin + 1 + length]
                with torch.no_grad():  # in one piece from where the lane began
                    one = model.model(rows[None, :, :1])["output"][0, -length:]
                torch.testing.assert_close(
                    output[lane][batch["mask"][lane]], one, rtol=0, atol=1e-10
                )
                expected += float((one - rows[-length:, 1:]).square().sum())
            assert float(losses) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_the_gradient_ends_with_the_piece(kind: Any) -> None:
    data, model = make_data((60, 60, 60)), make_model(kind)
    batches = iter(data.train_dataloader())
    first, second = next(batches), next(batches)
    model(first)
    held = [part.clone() for part in model.carried.lanes[:-1]]
    model.calc_loss(model(second), second).backward()
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    begins = second["begins"].view(1, -1, 1)
    held = [torch.where(begins, 0.0, part) for part in held]
    state = tuple(held) if len(held) > 1 else held[0]
    output, _ = model.model.advance(second["input"], second["lengths"], state)
    model.calc_loss(output, second).backward()
    for weight, gradient in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_validation_in_between_changes_nothing(kind: Any) -> None:
    data, model = make_data(), make_model(kind)
    batches = list(data.train_dataloader())
    expected = [model(batch)["output"] for batch in batches]
    again = make_model(kind)
    for batch, output in zip(batches, expected, strict=True):
        torch.testing.assert_close(again(batch)["output"], output, rtol=0, atol=0)
        for validated in data.evaluation_dataloader("train"):
            again(validated)


def test_a_state_that_is_not_finite_ends_with_its_piece() -> None:
    data, model = make_data((60, 60, 60)), make_model(LSTM)
    first, second, *_ = data.train_dataloader()
    first["input"][1, 2] = torch.nan
    assert model(first)["output"][1].isnan().any()
    assert model(second)["output"].isfinite().all()


def test_lanes_that_go_on_elsewhere_begin_anew_and_are_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data, model = make_data((60, 60, 60)), make_model(LSTM)
    first, second, third, *_ = data.train_dataloader()
    model(first)
    assert not caplog.messages
    skipped = model(third)["output"]  # without the second
    assert "3 of 3 lanes do not go on where they were" in caplog.text
    alone = model.model(third["input"], third["lengths"])["output"]
    torch.testing.assert_close(skipped, alone)
    assert second["place"].tolist() != third["place"].tolist()


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("alignment", ["left", "right"])
def test_washed_out_steps_take_no_part(carry: bool, alignment: Any) -> None:
    options: dict[str, Any] = {} if carry else {"min_seq_len": 6, "randomize_seq_len": True}
    data = make_data(
        (53, 31, 40), carry_state=carry, washout=5, alignment=alignment, batch_size=4,
        fresh_starts=0.3 * carry, **options,
    )  # fmt: skip
    model = make_model(LSTM)
    begun: dict[int, int] = {}
    left_out = 0
    for batch in data.train_dataloader():
        for lane, mask in enumerate(batch["mask"]):
            first = int(batch["origin"][lane]) + 1
            assert int(batch["place"][lane]) == first
            if not carry or batch["begins"][lane]:
                begun[lane] = first
            row = first + np.arange(int(mask.sum()))
            counts = (row >= begun[lane] + 5) | (begun[lane] == 0)
            assert batch["target_mask"][lane][mask].tolist() == counts.tolist()
            assert not batch["target_mask"][lane][~mask].any()
            left_out += int((~counts).sum())
        if batch["target_mask"].any():
            output = model(batch)["output"]
            loss = model.calc_loss(output, batch)
            batch["target"] = torch.where(
                batch["target_mask"].unsqueeze(-1), batch["target"], torch.nan
            )
            torch.testing.assert_close(model.calc_loss(output, batch), loss, rtol=0, atol=0)
    assert left_out > 0


def test_the_horizon_is_washed_out_but_at_the_start_of_a_run() -> None:
    data = EncoderDecoderDataModule(
        target_covariate="y", known_covariates=["u"], series_id="id", train_df_paths="train.csv",
        ctxt_seq_len=6, tgt_seq_len=4, washout=2, batch_size=100, drop_short_series=True,
        val_fraction=0.3,
    )  # fmt: skip
    data.stages.give("train_df_paths", make_frame())
    data.setup("fit")
    loaders: list[Any] = [data.train_dataloader(), data.val_dataloader()]
    for loader in loaders:
        for batch in loader:
            starts = batch["origin"] == 5
            assert batch["target_mask"][starts].all()
            expected = [False, False, True, True]
            assert (batch["target_mask"][~starts] == torch.tensor(expected)).all()
            assert (~starts).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shuffle": True}, "leave shuffle out"),
        ({"randomize_seq_len": True}, "set it to batch"),
        ({"stride": 2}, "stride is 2"),
        ({"carry_state": False, "fresh_starts": 0.1}, "set carry_state to true"),
        ({"carry_state": False, "washout": 8}, "washout 8 leaves nothing"),
        ({"washout": -1}, "washout must be at least 0"),
        ({"fresh_starts": 1.5}, "fresh_starts must be at most 1"),
    ],
)
def test_what_contradicts_lanes_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make_data(**options)


@pytest.mark.parametrize("carry", [True, False])
def test_longer_pieces_are_no_remedy_for_time_beyond_the_runs(
    caplog: pytest.LogCaptureFixture, carry: bool
) -> None:
    make_data((60, 60), time_column="t", known_covariates=None, val_fraction=0.6, carry_state=carry)
    assert "train with time_format relative" in caplog.text
    assert ("longer seq_len" in caplog.text) != carry


def make_windows(**options: Any) -> EncoderDecoderDataModule:
    return EncoderDecoderDataModule(
        target_covariate="y", known_covariates=["u"], ctxt_seq_len=6, tgt_seq_len=4, **options
    )


@pytest.mark.parametrize("options", [{"washout": 4}, {"washout": 2, "min_tgt_seq_len": 2}])
def test_a_horizon_is_longer_than_what_is_washed_out(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="leaves nothing of a horizon of"):
        make_windows(**options)


def test_some_steps_of_the_loss_are_not_washed_out() -> None:
    message = r"loss_steps: none of \[1, 2\] is left by data.washout 2"
    for data in (make_windows(washout=2), make_data((53, 40), carry_state=False, washout=2)):
        with pytest.raises(InputError, match=message):
            check_horizon([1, 2], data, data.gives)
        check_horizon([1, 3], data, data.gives)
    # only the first pieces of lanes are washed out
    check_horizon([1, 2], make_data(washout=2), "sequences")


def test_absolute_time_is_scaled_over_whole_runs() -> None:
    data = make_data((60, 60), time_column="t", known_covariates=None, fresh_starts=0.0)
    batch = next(iter(data.train_dataloader()))
    passed = batch["input"][batch["mask"]][:, 0]
    # evenly spaced time from 0 to 59 over its root mean square
    scale = np.sqrt(np.mean(np.arange(60.0) ** 2))
    begins = batch["begins"]
    np.testing.assert_allclose(batch["input"][begins][:, 0, 0], 0.0)
    np.testing.assert_allclose(np.diff(batch["input"][0, :, 0]), 1 / scale, rtol=1e-9)
    assert passed.max() < 3
