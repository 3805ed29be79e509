"""`check` tells all mistakes at once, each where it was written; and without any, what a fit is."""

import copy
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.cli.conftest import Experiment, make_frame
from tests.cli.test_mistakes_table import TABLE, put
from transformertf.cli import main
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.mistakes import Given, blamed, places_of
from transformertf.cli.trial import try_steps
from transformertf.cli.yaml_file import YamlFile

Check = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run it, see that nothing is written, and return code, lines of output and of errors."""

    def run(*words: str) -> tuple[int, list[str], list[str]]:
        before = sorted(Path.cwd().rglob("*"))
        capsys.readouterr()
        code = main(["check", "-c", "tiny.yml", *words])
        captured = capsys.readouterr()
        assert sorted(Path.cwd().rglob("*")) == before
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def line_of(text: str) -> int:
    """The line of the one place in the file with a text."""
    lines = Path("tiny.yml").read_text().splitlines()
    (found,) = (number for number, line in enumerate(lines, 1) if text in line)
    return found


def test_unrelated_mistakes_are_told_at_once_by_line(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["trainer"]["cllbacks"] = []
        config["trainer"]["max_epochs"] = 2.5
        config["model"]["init_args"] |= {"d_encodr": 3, "dropout": 1.5}
        config["optimizer"]["init_args"]["lr"] = -1.0
        config["data"]["init_args"] |= {"batch_size": 0, "known_covariates": ["knwon"]}
        config["data"]["init_args"]["val_df_paths"] = "none.parquet"

    experiment.write(workdir, change)
    code, out, err = check()
    assert (code, out) == (2, [])
    told = {
        "cllbacks": "unknown key 'trainer.cllbacks'; did you mean 'callbacks'?",
        "max_epochs": "trainer.max_epochs: expected int; found 2.5",
        "d_encodr": "unknown key 'model.init_args.d_encodr'; did you mean 'd_encoder'?",
        "dropout": "dropout must be from 0 to 1, found 1.5",
        "batch_size": "batch_size must be at least 1, found 0",
        "val_df_paths": "val_df_paths: no file none.parquet",
        "- knwon": f"{experiment.root / 'a.parquet'}: no column 'knwon'; did you mean 'known'?",
        "optimizer:": "optimizer: Invalid learning rate: -1.0; correct its arguments",
    }
    wanted = sorted((line_of(text), says) for text, says in told.items())
    assert len(err) == len(wanted) + 1
    for (line, says), found in zip(wanted, err, strict=False):
        assert found.startswith(f"tiny.yml:{line}: {says}")
    assert err[-1] == "error: 8 mistakes; mend, and check again"


# but what Lightning alone knows once it trains
SOME = [row for row in TABLE[::12] if row[0] != "trainer.val_check_interval"]


@pytest.mark.parametrize("row", SOME, ids=lambda row: str(row[0]))
def test_one_mistake_is_told_as_fit_tells_it(
    experiment: Experiment, workdir: Path, check: Check, row: tuple[str, Any, str]
) -> None:
    key, value, says = row
    experiment.write(workdir, lambda config: put(config, key, value))
    code, _, err = check()
    says = says.replace(" in tiny.yml", "")
    assert code == 2
    assert len(err) == 2, err  # nothing of what follows from it
    assert says in err[0]
    assert err[0].startswith("tiny.yml:")
    assert err[1].startswith("error: 1 mistake; mend") or "was not looked at" in err[1]


def test_mistakes_of_several_sections_hide_none_of_each_other(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    rows = {
        section: [row for row in TABLE if re.fullmatch(rf"{section}\.(?!class|init)\w+", row[0])]
        for section in ("data", "model", "trainer", "optimizer")
    }
    draw = random.Random(1)
    for _ in range(6):
        chosen = [draw.choice(of) for of in rows.values()]

        def change(config: dict[str, Any], chosen: list[Any] = chosen) -> None:
            for key, value, _ in chosen:
                put(config, key, value)

        experiment.write(workdir, change)
        code, _, err = check()
        assert code == 2
        for _, _, says in chosen:
            assert any(says.replace(" in tiny.yml", "") in line for line in err), (chosen, err)


def test_flags_are_named_as_flags(experiment: Experiment, workdir: Path, check: Check) -> None:
    experiment.write(workdir)
    code, _, err = check("--data.batch_sze", "3", "--trainer.max_epochs=x", "--model.dropout", "7")
    assert code == 2
    assert err[:3] == [
        "--data.batch_sze: unknown key 'data.init_args.batch_sze'; did you mean 'batch_size'?",
        "--trainer.max_epochs: expected int; found 'x'",
        "--model.dropout: dropout must be from 0 to 1, found 7.0",
    ]


def test_each_file_is_looked_at(experiment: Experiment, workdir: Path, check: Check) -> None:
    for number in range(4):
        frame = make_frame(30, number)
        frame["past"] = frame["past"].astype(object)
        if number == 1:
            frame.loc[3, "past"] = "off"
        if number == 2:
            frame = frame.rename(columns={"known": "knwon"})
        frame.to_csv(f"run_{number}.csv", index=False)
    make_frame(5, 9).to_csv("short.csv", index=False)

    def change(config: dict[str, Any]) -> None:
        config["data"]["init_args"] |= {
            "train_df_paths": ["run_*.csv"], "val_df_paths": "short.csv",
        }  # fmt: skip

    experiment.write(workdir, change)
    code, _, err = check()
    assert code == 2
    assert [line.partition(": ")[2].partition(":")[0] for line in err[:-1]] == [
        "run_2.csv", "run_1.csv", "series 'short' is too short",
    ]  # fmt: skip
    assert err[0].startswith(f"tiny.yml:{line_of('- known')}: ")
    assert err[1].startswith(f"tiny.yml:{line_of('train_df_paths')}: ")


def test_a_wrong_length_brings_no_mistakes_of_its_own(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    # left out, the context would be 500 rows, and each series too short
    experiment.write(workdir, lambda config: put(config, "data.ctxt_seq_len", "long"))
    code, _, err = check()
    assert code == 2
    assert err[0] == (
        f"tiny.yml:{line_of('ctxt_seq_len')}: data.init_args.ctxt_seq_len: expected int; "
        "found 'long'"
    )
    assert err[1:] == [
        "error: 1 mistake; what depends on it was not looked at; mend, and check again"
    ]


def test_the_last_of_several_files_is_blamed(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    experiment.write(workdir)
    Path("more.yml").write_text("# on top\ndata:\n  batch_size: 0\n")
    _, _, err = check("-c", "more.yml")
    assert err[0] == "more.yml:3: batch_size must be at least 1, found 0"
    given = Given((YamlFile.read(Path("tiny.yml")), YamlFile.read(Path("more.yml"))), ())
    place = blamed("dropout must be from 0 to 1, found 3", list(places_of(given)))
    assert place is not None
    assert place.shown == f"tiny.yml:{line_of('dropout')}"
    assert blamed("nothing that was written", list(places_of(given))) is None


def test_files_of_test_are_looked_at(experiment: Experiment, workdir: Path, check: Check) -> None:
    experiment.write(workdir, lambda config: put(config, "data.test_df_paths", "none.csv"))
    code, _, err = check()
    assert code == 2
    assert "test_df_paths: no file none.csv" in err[0]


def test_what_lightning_refuses_as_it_trains(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    experiment.write(workdir, lambda config: put(config, "trainer.val_check_interval", 1000))
    code, _, err = check()
    assert code == 2
    assert "trainer.val_check_interval is 1000, but an epoch has 6 batches" in err[0]


def test_without_mistakes_it_tells_what_the_fit_is(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    experiment.write(workdir)
    code, out, err = check()
    assert (code, err) == (0, [])
    text = "\n".join(out)
    # as the fit of the same configuration was
    trained = torch.load(experiment.checkpoint, weights_only=True)["global_step"]
    assert re.search(rf"^steps +6 an epoch, {trained} in 2 epochs$", text, re.M)
    assert "encoder_input 16 x 8 x 4, decoder_input 16 x 4 x 2, target 16 x 4 x 1" in text
    assert re.search(r"^time +\S+ \S+ a batch, \S+ \S+ an epoch, about \S+ \S+ in all$", text, re.M)
    assert re.search(r"^to beat +MAE +RMSE +of target in validation$", text, re.M)
    assert re.search(r"^ +naive +[\d.]+ +[\d.]+$", text, re.M)
    assert re.search(r"^ +context mean +[\d.]+ +[\d.]+$", text, re.M)


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        (("--trainer.max_steps", "7"), "6 an epoch, 7 in 2 epochs"),
        (("--trainer.accumulate_grad_batches", "4"), "2 an epoch, 4 in 2 epochs"),
        (("--trainer.limit_train_batches", "0.5"), "3 an epoch, 6 in 2 epochs"),
        (("--trainer.max_epochs", "-1", "--trainer.max_steps", "13"), "6 an epoch, 13 in 3 epochs"),
        (("--trainer.max_epochs", "-1"), "6 an epoch, without an end"),
    ],
    ids=str,
)
def test_steps_are_counted(
    experiment: Experiment, workdir: Path, check: Check, flags: tuple[str, ...], steps: str
) -> None:
    experiment.write(workdir)
    code, out, _ = check(*flags)
    assert code == 0
    assert any(line.startswith("steps") and line.endswith(steps) for line in out)


def test_a_trial_leaves_weights_and_random_state_alone(
    experiment: Experiment, workdir: Path
) -> None:
    composer = Composer()
    composer.add_file(YamlFile.read(experiment.write(workdir)))
    cli = ForecastCLI(composer)
    cli.build()
    cli.set_up("fit")
    weights = copy.deepcopy(cli.model.state_dict())
    torch.manual_seed(5)
    random.seed(5)
    states = torch.get_rng_state(), random.getstate()
    trial = try_steps(cli)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    for name, value in cli.model.state_dict().items():
        assert torch.equal(value, weights[name])
    assert cli.model.training
    assert min(trial.step, trial.validation) > 0
    # weights, gradients and two moments of Adam, each of four bytes
    count = sum(one.numel() for one in cli.model.parameters())
    assert trial.memory > 16 * count
    assert sorted(path.name for path in workdir.iterdir()) == ["tiny.yml"]


def test_memory_grows_with_the_batch(experiment: Experiment, workdir: Path) -> None:
    found = {}
    for size in (8, 32):
        composer = Composer()
        composer.add_file(YamlFile.read(experiment.write(workdir)))
        composer.add_flags([f"--data.batch_size={size}", "--model.dropout=0"])
        cli = ForecastCLI(composer)
        cli.build()
        cli.set_up("fit")
        count = sum(one.numel() for one in cli.model.parameters())
        found[size] = try_steps(cli).memory - 16 * count
    # what is kept for the backward pass is of each window
    assert 3 < found[32] / found[8] < 5


def test_yaml_keeps_names_while_it_is_corrected(
    experiment: Experiment, workdir: Path, check: Check
) -> None:
    frame = make_frame(40, 1).rename(columns={"target": "NO", "known": "007"})
    frame.to_parquet("names.parquet")

    def change(config: dict[str, Any]) -> None:
        config["data"]["init_args"] |= {
            "train_df_paths": "names.parquet", "val_df_paths": None, "test_df_paths": None,
        }  # fmt: skip
        config["trainer"]["max_epoch"] = 2

    path = experiment.write(workdir, change)
    text = path.read_text().replace("target_covariate: target", "target_covariate: NO")
    path.write_text(text.replace("- known\n", "- 007\n"))
    assert yaml.safe_load(path.read_text())["data"]["init_args"]["known_covariates"] == [7]
    code, _, err = check()
    assert code == 2
    assert [line.partition(": ")[2] for line in err[:-1]] == [
        "unknown key 'trainer.max_epoch'; did you mean 'max_epochs'?"
    ]
    assert err[-1] == "error: 1 mistake; mend, and check again"
