"""What a fit can be told: what trains, what is logged, what outputs mean, how it is computed."""

import copy
import io
import itertools
import os
import pickle
import random
import shutil
import tempfile
import warnings

import lightning
import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from tests.runs import loader, predicted, quiet_trainer
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM
from transformertf.models.attention_lstm import AttentionLSTM
from transformertf.models.common.outputs import rising_quantiles
from transformertf.models.temporal_fusion_transformer import TemporalFusionTransformer
from transformertf.nn import QuantileLoss, recurrent

LEVELS = [0.1, 0.4, 0.5, 0.7]
ALIGNMENTS = [*itertools.product(["left", "right"], repeat=2)]
every_alignment = pytest.mark.parametrize(("encoder_alignment", "decoder_alignment"), ALIGNMENTS)


def tiny(**kwargs):
    """Return a small forecaster of 3 past and 2 future features that drops nothing."""
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 5, "num_encoder_layers": 1, "num_decoder_layers": 1}
    return EncoderDecoderLSTM(3, 2, **{**sizes, "dropout": 0.0, **kwargs})


def tiny_attention(**kwargs):
    torch.manual_seed(0)
    return AttentionLSTM(3, 2, d_model=4, num_layers=1, num_heads=2, dropout=0.0, **kwargs)


def tiny_fusion(**kwargs):
    torch.manual_seed(0)
    return TemporalFusionTransformer(
        3, 2, 8, 6, d_model=4, num_heads=2, num_lstm_layers=1, dropout=0.0, **kwargs
    )


MODELS = {"lstm": tiny, "attention": tiny_attention, "fusion": tiny_fusion}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def weights(module):
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def changed(module, before):
    return {
        name for name, value in module.named_parameters() if not torch.equal(value, before[name])
    }


# -- which parameters train


PATTERNS = {
    "head": (["model.head.*"], ("model.head.",)),
    "two": (["model.head.*", "model.bridge.hidden.*"], ("model.head.", "model.bridge.hidden.")),
    "part of a name": (["*bias*"], ("bias",)),
    "whole name": (["model.head.0.bias"], ("model.head.0.bias",)),
    "one string": ("model.head.*", ("model.head.",)),
    "tuple": (("model.head.*",), ("model.head.",)),
    "all": (["*"], ("",)),
}
every_pattern = pytest.mark.parametrize(("patterns", "parts"), PATTERNS.values(), ids=PATTERNS)


def named_like(module, parts):
    names = {name for name, _ in module.named_parameters()}
    return {name for name in names if any(part in name for part in parts)}


@every_pattern
def test_only_what_is_named_trains(patterns, parts, ragged_batch):
    module = tiny(trainable_parameters=patterns)
    expected, before = named_like(module, parts), weights(module)
    assert expected
    run = quiet_trainer()
    run.fit(module, loader(ragged_batch(), ragged_batch(seed=1)))
    assert changed(module, before) == expected
    held = [id(p) for group in run.optimizers[0].param_groups for p in group["params"]]
    assert sorted(held) == sorted(
        id(p) for name, p in module.named_parameters() if name in expected
    )


@every_pattern
def test_frozen_parameters_collect_no_gradient(patterns, parts, ragged_batch):
    module, batch = tiny(trainable_parameters=patterns), ragged_batch()
    module.calc_loss(module(batch), batch).backward()
    assert all(p.grad is not None for p in module.parameters()), "built, but not set up"
    module.setup("fit")
    module.zero_grad(set_to_none=False)
    module.calc_loss(module(batch), batch).backward()
    for name, parameter in module.named_parameters():
        trains = name in named_like(module, parts)
        assert parameter.requires_grad == trains, name
        assert (parameter.grad is not None) == trains, name


def test_optimizer_without_a_trainer_holds_what_trains():
    module = tiny(trainable_parameters=["model.head.*"])
    (group,) = module.configure_optimizers().param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in module.model.head.parameters()}


def test_what_was_frozen_by_hand_stays_frozen(ragged_batch):
    module = tiny()
    module.model.encoder.requires_grad_(False)
    before = weights(module)
    quiet_trainer().fit(module, loader(ragged_batch()))
    assert changed(module, before) == {n for n in before if not n.startswith("model.encoder.")}


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (
            ["model.haed.*"],
            "no parameter is named like 'model.haed.*'; the nearest are model.head.",
        ),
        (["head.*"], "named like 'head.*'; the nearest are model.head."),
        (["model.head.*", "zzz"], "named like 'zzz'"),
        ([], "trainable_parameters is empty"),
    ],
)
@pytest.mark.parametrize("use", ["fit", "optimizer"])
def test_pattern_that_matches_nothing(patterns, message, use, ragged_batch):
    module = tiny(trainable_parameters=patterns)
    uses = {
        "fit": lambda: quiet_trainer().fit(module, loader(ragged_batch())),
        "optimizer": module.configure_optimizers,
    }
    with pytest.raises(InputError) as error:
        uses[use]()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_resumed_fit_goes_on_with_the_same_parameters(tmp_path, ragged_batch):
    batches = [ragged_batch(seed=seed) for seed in range(2)]
    patterns = ["model.head.*", "model.decoder.*"]
    whole, half = (tiny(trainable_parameters=patterns) for _ in range(2))
    before = weights(whole)
    quiet_trainer(max_epochs=2).fit(whole, loader(*batches))
    first = quiet_trainer(max_epochs=1)
    first.fit(half, loader(*batches))
    first.save_checkpoint(tmp_path / "half.ckpt")
    resumed = tiny(trainable_parameters=patterns)
    run = quiet_trainer(max_epochs=2)
    run.fit(resumed, loader(*batches), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert changed(resumed, weights(whole)) == set()
    assert changed(resumed, before) == named_like(resumed, ("model.head.", "model.decoder."))
    with pytest.raises(InputError, match=r"trainable_parameters is None, but the checkpoint was"):
        quiet_trainer(max_epochs=2).fit(
            tiny(), loader(*batches), ckpt_path=tmp_path / "half.ckpt", weights_only=True
        )
    # evaluation takes no step
    quiet_trainer().validate(
        tiny(), loader(*batches), ckpt_path=tmp_path / "half.ckpt", weights_only=True, verbose=False
    )


def test_transferred_weights_stay_where_they_are_frozen(ragged_batch):
    source, module = tiny(), tiny(criterion=QuantileLoss(LEVELS), trainable_parameters=["*head*"])
    torch.nn.init.normal_(source.model.encoder.weight_hh_l0)
    fitting = {k: v for k, v in source.state_dict().items() if "head" not in k}
    assert module.load_state_dict(fitting, strict=False).unexpected_keys == []
    before = weights(module)
    quiet_trainer().fit(module, loader(ragged_batch()))
    assert torch.equal(module.model.encoder.weight_hh_l0, source.model.encoder.weight_hh_l0)
    assert changed(module, before) == {"model.head.0.weight", "model.head.0.bias"}


# -- the norm of the gradient


class Record(DummyLogger):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradient_norm_is_logged_before_clipping(precision, frozen, ragged_batch):
    batches = [ragged_batch(seed=seed) for seed in range(3)]
    options = {"trainable_parameters": ["model.head.*"] if frozen else None}
    still = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.0), **options}
    module, reference = tiny(log_grad_norm=True, **still), tiny(**still)
    record = Record()
    run = quiet_trainer(
        gradient_clip_val=1e-3, logger=record, log_every_n_steps=1, precision=precision
    )
    run.fit(module, loader(*batches))
    found = {step: row["train/grad_norm"] for step, row in record.rows if "train/grad_norm" in row}
    assert list(found) == [0, 1, 2]
    reference.setup("fit")
    for step, batch in enumerate(batches):
        loss = reference.calc_loss(reference(batch), batch)
        trained = [p for p in reference.parameters() if p.requires_grad]
        squares = sum(float(g.square().sum()) for g in torch.autograd.grad(loss, trained))
        assert squares > 1e-4, "nothing was clipped"
        tolerance = 1e-5 if precision == "32-true" else 0.05
        assert found[step] == pytest.approx(squares**0.5, rel=tolerance)


def test_gradient_norm_is_not_logged_unless_asked(ragged_batch):
    run = quiet_trainer()
    run.fit(tiny(), loader(ragged_batch()))
    assert "train/loss" in run.callback_metrics
    assert "train/grad_norm" not in run.callback_metrics


# -- changes since the last context value


def last_values(batch):
    """Return (B, 1, 1) the target at the last context step, row by row."""
    rows = zip(batch["encoder_input"], batch["encoder_mask"], strict=True)
    return torch.stack([row[mask][-1, -1] for row, mask in rows]).view(-1, 1, 1)


def windowed(batch):
    rows = len(batch["series"])
    return {**batch, "window_loc": torch.randn(rows), "window_scale": torch.rand(rows) + 0.5}


@every_alignment
@every_model
@pytest.mark.parametrize("per_window", [False, True])
def test_delta_adds_the_last_context_value(
    make, per_window, encoder_alignment, decoder_alignment, ragged_batch
):
    batch = ragged_batch(encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment)
    point, delta = (make(prediction_type=kind).eval() for kind in ("point", "delta"))
    mask = batch["decoder_mask"].unsqueeze(-1)
    expected = point(batch)["output"] + last_values(batch)
    if per_window:
        batch = windowed(batch)
        expected = expected * batch["window_scale"].view(-1, 1, 1)
        expected = expected + batch["window_loc"].view(-1, 1, 1)
    found = delta(batch)["output"]
    assert found.shape == (*batch["decoder_mask"].shape, delta.output_dim)
    torch.testing.assert_close(found, torch.where(mask, expected, 0.0))
    assert not mask.all()


def test_delta_of_a_silent_network_is_persistence(ragged_batch):
    module = tiny(prediction_type="delta", criterion=QuantileLoss(LEVELS))
    for parameter in module.model.head.parameters():
        torch.nn.init.zeros_(parameter)
    batch = ragged_batch()
    expected = torch.where(batch["decoder_mask"].unsqueeze(-1), last_values(batch), 0.0)
    assert torch.equal(module(batch)["output"], expected.expand(-1, -1, len(LEVELS)))


class Source(lightning.LightningDataModule):
    """Batches as from a data module, with or without the target's history."""

    def __init__(self, batch, add_target_to_past=None):
        super().__init__()
        if add_target_to_past is not None:
            self.hparams["add_target_to_past"] = add_target_to_past
        self.batch = batch

    def train_dataloader(self):
        return loader(self.batch)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader

    def inverse_transform_target(self, values, batch):
        return values

    def describe_training_window(self, series, origin):
        return ""


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_delta_wants_the_history_of_the_target(stage, ragged_batch):
    batch = ragged_batch()
    with pytest.raises(
        InputError, match=r"set data\.add_target_to_past to true, or prediction_type"
    ):
        getattr(quiet_trainer(), stage)(
            tiny(prediction_type="delta"), datamodule=Source(batch, False)
        )
    for prediction_type, history in (("point", False), ("delta", True), ("delta", None)):
        module = tiny(prediction_type=prediction_type)
        getattr(quiet_trainer(), stage)(module, datamodule=Source(batch, history))


def test_unknown_prediction_type():
    with pytest.raises(InputError, match=r"must not be 'detla'; did you mean 'delta'\?"):
        tiny(prediction_type="detla")


# -- quantiles that cannot cross


def rising_by_hand(values, levels):
    """Return quantiles of one step, counted from the one nearest to the median."""
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
    found = {middle: values[middle].item()}
    for i in range(middle + 1, len(levels)):
        found[i] = found[i - 1] + torch.log1p(values[i].exp()).item()
    for i in range(middle - 1, -1, -1):
        found[i] = found[i + 1] - torch.log1p(values[i].exp()).item()
    return torch.tensor([found[i] for i in range(len(levels))])


@pytest.mark.parametrize(
    "levels", [LEVELS, [0.5, 0.9, 0.95], [0.6, 0.9], [0.05, 0.1], [0.3, 0.7], [0.9]], ids=str
)
def test_rising_quantiles(levels):
    torch.manual_seed(0)
    values = 2 * torch.randn(2, 3, len(levels))
    found = rising_quantiles(values, levels)
    expected = [rising_by_hand(step, levels) for step in values.flatten(0, 1)]
    torch.testing.assert_close(found.flatten(0, 1), torch.stack(expected))
    assert (found.diff(dim=-1) > 0).all()


def test_rising_quantiles_of_extreme_values_never_fall():
    torch.manual_seed(0)
    values = (1e4 * torch.randn(100, 4, 7)).requires_grad_()
    levels = [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]
    found = rising_quantiles(values, levels)
    assert (found.diff(dim=-1) >= 0).all()
    found.sum().backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()


def test_rising_quantiles_reach_those_of_the_data():
    """The form can take any quantiles: trained on a sample it finds the sample's."""
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    torch.manual_seed(0)
    sample = torch.randn(2001).exp().view(1, -1, 1)
    values = torch.zeros(len(levels), requires_grad=True)
    optimizer = torch.optim.Adam([values], lr=0.03)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 500)
    for _ in range(500):
        optimizer.zero_grad()
        QuantileLoss(levels)(rising_quantiles(values, levels), sample).mean().backward()
        optimizer.step()
        schedule.step()
    wanted = torch.quantile(sample.flatten(), torch.tensor(levels))
    torch.testing.assert_close(rising_quantiles(values, levels).detach(), wanted, rtol=0.03, atol=0)


@every_alignment
@pytest.mark.parametrize("prediction_type", ["point", "delta"])
@pytest.mark.parametrize("per_window", [False, True])
def test_monotone_outputs_rise_on_data(
    prediction_type, per_window, encoder_alignment, decoder_alignment, ragged_batch
):
    batch = ragged_batch(encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment)
    options = {"criterion": QuantileLoss(LEVELS), "prediction_type": prediction_type}
    plain, module = tiny(**options), tiny(**options, monotone=True)
    for each in (plain, module):
        with torch.no_grad():
            each.model.head[-1].bias.copy_(torch.tensor([1.0, 0.5, 0.0, -2.0]))
    mask, middle = batch["decoder_mask"], LEVELS.index(0.5)
    if per_window:
        batch = windowed(batch)
    crossing, output = plain(batch)["output"], module(batch)["output"]
    assert (crossing[mask].diff(dim=-1) < 0).any()
    assert (output[mask].diff(dim=-1) > 0).all()
    assert output[~mask].count_nonzero() == 0
    torch.testing.assert_close(output[..., middle], crossing[..., middle])
    point = module.point_forecast(output)
    assert torch.equal(point[mask], output[..., middle : middle + 1][mask])


@pytest.mark.parametrize("criterion", [None, torch.nn.L1Loss()])
def test_monotone_wants_quantiles(criterion):
    with pytest.raises(InputError, match="monotone wants quantiles, but the criterion is"):
        tiny(criterion=criterion, monotone=True)


# -- padding and batch never change a result


MEANINGS = {
    "delta": {"prediction_type": "delta"},
    "monotone": {"criterion": QuantileLoss(LEVELS), "monotone": True},
    "both": {"criterion": QuantileLoss(LEVELS), "monotone": True, "prediction_type": "delta"},
}
every_meaning = pytest.mark.parametrize("meaning", MEANINGS.values(), ids=MEANINGS)


def alone(batch, row):
    """Return a batch of one row without any padding."""
    encoder, decoder = batch["encoder_mask"][row], batch["decoder_mask"][row]
    found = {}
    for key, value in batch.items():
        mask = encoder if key.startswith("encoder") else decoder
        steps = value.ndim > 1
        found[key] = value[row][mask].unsqueeze(0) if steps else value[row : row + 1]
    return found


@every_meaning
@every_alignment
@pytest.mark.parametrize("per_window", [False, True])
def test_a_row_alone_is_the_row_in_a_batch(
    meaning, per_window, encoder_alignment, decoder_alignment, ragged_batch
):
    module = tiny(**meaning)
    batch = ragged_batch(
        encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment, extra=3
    )
    assert batch["encoder_input"].isnan().any()
    if per_window:
        batch = windowed(batch)
    together = module(batch)["output"]
    assert together.isfinite().all()
    for row, mask in enumerate(batch["decoder_mask"]):
        single = alone(batch, row)
        assert single["encoder_mask"].all()
        torch.testing.assert_close(together[row, mask], module(single)["output"][0])
        whole = torch.autograd.grad(
            together[row].sum(), [*module.parameters()], retain_graph=True, allow_unused=True
        )
        own = torch.autograd.grad(
            module(single)["output"].sum(), [*module.parameters()], allow_unused=True
        )
        for one, other in zip(whole, own, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@every_meaning
def test_meaning_survives_a_fit_and_its_checkpoint(meaning, tmp_path, ragged_batch):
    module, batch = tiny(**meaning), ragged_batch()
    run = quiet_trainer(max_epochs=2)
    run.fit(module, loader(batch), loader(batch))
    assert run.callback_metrics["validation/loss"].isfinite()
    run.save_checkpoint(tmp_path / "tiny.ckpt")
    torch.load(tmp_path / "tiny.ckpt", weights_only=True)
    loaded = load(tmp_path / "tiny.ckpt")
    assert loaded.prediction_type == module.prediction_type
    assert loaded.monotone == module.monotone
    assert torch.equal(loaded(batch)["output"], module.eval()(batch)["output"])
    # the same weights would mean something else
    other = tiny(criterion=meaning.get("criterion"))
    with pytest.raises(
        InputError, match=r"(prediction_type is 'point'|monotone is False), but the"
    ):
        quiet_trainer().predict(
            other, loader(batch), ckpt_path=tmp_path / "tiny.ckpt", weights_only=True
        )


def load(path):
    with warnings.catch_warnings():
        # lightning's loader calls what jsonargparse deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        return EncoderDecoderLSTM.load_from_checkpoint(path, map_location="cpu").eval()


# -- hyper-parameters


def test_arguments_rebuild_the_module_from_its_hyperparameters():
    given = {
        "trainable_parameters": ["model.head.*"],
        "log_grad_norm": True,
        "prediction_type": "delta",
        "compile_model": True,
        "monotone": True,
    }
    module = tiny(criterion=QuantileLoss(LEVELS), **given)
    assert {name: module.hparams[name] for name in given} == given
    kept = {k: v for k, v in module.hparams.items() if not k.startswith("_") and k != "criterion"}
    again = EncoderDecoderLSTM(**kept, criterion=QuantileLoss(LEVELS))
    assert dict(again.hparams) == dict(module.hparams)
    for name, value in given.items():
        assert getattr(again, name) == value
    defaults = {name: tiny().hparams[name] for name in given}
    assert defaults == {
        "trainable_parameters": None,
        "log_grad_norm": False,
        "prediction_type": "point",
        "compile_model": False,
        "monotone": False,
    }


# -- compiling


@pytest.fixture
def counter(monkeypatch):
    """Count the graphs a fit compiles, without the wait for native code."""
    torch._dynamo.reset()
    counters.clear()
    counter = CompileCounterWithBackend("aot_eager")
    compile_in_place = torch.nn.Module.compile

    def compile_quickly(self, *, dynamic, options):
        compile_in_place(self, backend=counter, dynamic=dynamic)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_quickly)
    yield counter
    torch._dynamo.reset()


# dynamo looks at each input of a graph that follows a break; by default nobody hears of it
unheard = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@unheard
def test_compiled_gives_the_numbers_of_eager_for_all_lengths(counter, ragged_batch):
    module, eager = tiny(compile_model=True), tiny()
    module.setup("predict")
    assert module.model._compiled_call_impl is None, "forecasting waits for no compiler"
    module.setup("fit")
    module.setup("fit")
    assert module.state_dict().keys() == eager.state_dict().keys()
    generator, frames, seen = random.Random(0), [], set()
    for number in range(21):
        rows = 4 if number == 0 else generator.randint(2, 6)
        longest = 4 if number == 0 else generator.randint(2, 9)
        # the first sizes agree with each other and with the width of the network
        lengths = [[generator.randint(1, longest) for _ in range(rows)] for _ in range(2)]
        lengths[0][0] = lengths[1][0] = longest
        batch = ragged_batch(
            *lengths, extra=0, seed=number, encoder_alignment=generator.choice(["left", "right"])
        )
        seen.add((rows, longest))
        outputs = [each(batch)["output"] for each in (module, eager)]
        torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
        losses = [
            each.calc_loss(o, batch) for each, o in zip((module, eager), outputs, strict=True)
        ]
        found, expected = (torch.autograd.grad(loss, [*each.parameters()]) for loss, each in
                           zip(losses, (module, eager), strict=True))  # fmt: skip
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        frames.append(counter.frame_count)
    assert len(seen) > 12
    assert frames[0] > 0
    # horizons without padding come out of the recurrence in another layout
    assert frames[-1] <= frames[0] + 1, f"compiled again: {frames}"


def test_no_compiler_is_told_before_the_first_step():
    import torch._inductor.config

    module = tiny(compile_model=True)
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(InputError, match="compile_model wants a C\\+\\+ compiler"),
    ):
        module.setup("fit")


@pytest.mark.parametrize("is_named", [False, True])
def test_compiled_code_lies_where_no_other_user_can_put_any(
    counter, tmp_path, monkeypatch, is_named
):
    given = str(tmp_path / "elsewhere") if is_named else None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(given))
    if given is None:
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    tmp_path.chmod(0o1777)
    tiny(compile_model=True).setup("fit")
    own = tmp_path / f"transformertf-{os.geteuid()}"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == (given or str(own / "compiled"))
    assert own.exists() == (given is None)
    if given is None:
        assert own.stat().st_mode & 0o777 == 0o700
        own.chmod(0o777)  # as another user's would be
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
        with pytest.raises(InputError, match=r"write to; name one in TORCHINDUCTOR_CACHE_DIR"):
            tiny(compile_model=True).setup("fit")
        shutil.rmtree(own)
        own.touch()
        with pytest.raises(InputError, match=r"cannot be made \(File exists\); name one in"):
            tiny(compile_model=True).setup("fit")


@unheard
def test_fit_with_a_compiled_network(counter, tmp_path, ragged_batch):
    batches = [ragged_batch(seed=seed, extra=1 + seed) for seed in range(3)]
    results = []
    for compile_model in (False, True):
        module = tiny(compile_model=compile_model, trainable_parameters=["model.[bhd]*"])
        run = quiet_trainer()
        run.fit(module, loader(*batches))
        assert (counter.frame_count > 0) == compile_model
        results.append((module, run))
    (eager, _), (module, run) = results
    for one, other in zip(module.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    # nothing compiled is kept, and nothing stands in the way of what copies modules
    run.save_checkpoint(tmp_path / "compiled.ckpt")
    content = torch.load(tmp_path / "compiled.ckpt", weights_only=True)
    assert content["state_dict"].keys() == eager.state_dict().keys()
    loaded = load(tmp_path / "compiled.ckpt")
    assert loaded.compile_model
    buffer = io.BytesIO()
    torch.save(module.model, buffer)
    for other in (
        copy.deepcopy(module.model),
        pickle.loads(pickle.dumps(module.model)),
        loaded.model,
    ):
        assert other._compiled_call_impl is None
        for name, value in other.state_dict().items():
            assert torch.equal(value, module.model.state_dict()[name])
    expected = module.eval()(batches[0])["output"]
    torch.testing.assert_close(loaded(batches[0])["output"], expected, rtol=1e-5, atol=1e-5)
    copied = copy.deepcopy(module)
    torch.testing.assert_close(copied(batches[0])["output"], expected, rtol=1e-5, atol=1e-5)


# -- mixed precision


class Losses(lightning.Callback):
    """Keeps every training loss."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(outputs["loss"])


ROUTES = {"auto": ("auto", None), "packed": ("always", None), "segmented": ("auto", 0)}


# without a GPU, Lightning takes bf16-mixed for 16-mixed
@every_model
@pytest.mark.parametrize(("packing", "worth"), ROUTES.values(), ids=ROUTES)
def test_mixed_precision(make, packing, worth, ragged_batch, monkeypatch):
    if worth is not None:
        monkeypatch.setattr(recurrent, "_WORTH_CUTTING", worth)
    module, reference = make(packing=packing), make(packing=packing)
    batches = [ragged_batch(), ragged_batch((4, 4), (3, 3), extra=0), ragged_batch((5,), (1,))]
    batches = [windowed(batch) for batch in batches]
    losses, expected = Losses(), Losses()
    run = quiet_trainer(precision="bf16-mixed", callbacks=[losses])
    run.fit(module, loader(*batches), loader(*batches))
    quiet_trainer(callbacks=[expected]).fit(reference, loader(*batches))
    for loss in (*losses.values, run.callback_metrics["validation/loss"]):
        assert loss.dtype in (torch.float32, torch.float64)
        assert loss.isfinite()
    torch.testing.assert_close(losses.values, expected.values, rtol=0.05, atol=0.01)
    assert changed(module, weights(make())), "nothing was learned"
    for parameter in module.parameters():
        assert parameter.dtype == torch.float32
    (found, *_) = predicted(run, module, loader(*batches))
    assert found.dtype == torch.float32
    assert found.isfinite().all()
