"""From files to a YAML that fits at once; nothing is overwritten."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.pages import ROOT
from tests.proposal.tables import panel, prices, runs
from transformertf.cli import main

ONE_STEP = (
    "--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1",
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
)  # fmt: skip


def write(kind: str, folder: Path) -> list[str]:
    """Write files of a kind, and return the flags that name them."""
    if kind == "prices":
        prices(700).to_csv(folder / "prices.csv", index=False)
        return ["--data", "prices.csv", "--target", "price"]
    if kind == "gaps":
        prices(700).drop(index=[90, 91, *range(300, 330)]).to_csv(folder / "gaps.csv", index=False)
        return ["--data", "gaps.csv", "--target", "price"]
    if kind == "panel":
        panel().to_parquet(folder / "panel.parquet")
        return ["--data", "panel.parquet", "--target", "sales"]
    if kind == "single":
        value = np.sin(np.arange(300) / 3) + 0.1 * np.random.default_rng(0).normal(size=300)
        pd.DataFrame({"value": value}).to_csv(folder / "single.csv", index=False)
        return ["--data", "single.csv"]
    runs(folder)
    if kind == "few runs":  # of which each has a part for validation, the shortest one too little
        for path in sorted(folder.glob("*.parquet"))[:2] + sorted(folder.glob("*.parquet"))[-2:]:
            path.unlink()
    named = ["--data", *(path.name for path in sorted(folder.glob("*.parquet"))), "--target", "B"]
    return named if "runs" in kind else [*named, "--past", "--static", "--context", "0"]


@pytest.mark.parametrize(
    "kind", ["prices", "gaps", "panel", "single", "runs", "few runs", "sensor"]
)
def test_what_is_written_fits_at_once(workdir, capsys, kind):
    assert main(["init", *write(kind, workdir), "-o", "new.yml"]) == 0
    told = capsys.readouterr().err
    assert "new.yml is written; next: transformertf check --config new.yml" in told
    assert main(["fit", "--config", "new.yml", *ONE_STEP]) == 0
    assert (workdir / "runs" / "new" / "version_0" / "checkpoints" / "last.ckpt").is_file()


def test_files_that_the_shell_found_are_written_as_the_glob(workdir):
    assert main(["init", *write("runs", workdir)]) == 0
    tree = yaml.safe_load((workdir / "my.yml").read_text())
    assert tree["data"]["init_args"]["train_df_paths"] == "*.parquet"


def test_nothing_is_overwritten_unless_forced(workdir, fails, capsys):
    words = ["init", *write("single", workdir)]
    (workdir / "my.yml").write_text("mine")
    assert "my.yml: is there already" in fails(*words)
    assert (workdir / "my.yml").read_text() == "mine"
    assert main([*words, "--force"]) == 0
    assert "target_covariate: value" in (workdir / "my.yml").read_text()
    assert {path.name for path in workdir.iterdir()} == {"my.yml", "single.csv"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--data", "no.csv"], "--data: no file no.csv"),
        (["--horizon", "0"], "horizon must be at least 1, found 0"),
        (["--context", "-1"], "context must be at least 1, found -1"),
        (["-o", "none/my.yml"], "none must exist"),
        (["-o", "."], "is a folder; name a file"),
        (["--target", "a", "b"], "--target: one column is forecast, found a, b"),
        (["--data.batch_size", "3"], "init: unknown argument '--data.batch_size'"),
        (["--known", "vallue"], "--known vallue: no such column; did you mean 'value'?"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(workdir, fails, more, told):
    assert told in fails("init", *write("single", workdir), *more)


def test_without_a_target_the_columns_that_there_are_stand_in_the_error(workdir, fails):
    words = write("prices", workdir)[:2]
    assert "one of 'Load forecast', 'Wind', 'price'" in fails("init", *words)


def test_a_terminal_is_asked_and_enter_takes_what_is_proposed(workdir, monkeypatch):
    asked = []
    answers = iter(["prise", "price", "", "-", "12", "0", "", "EncoderDecoderLSTM"])

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["init", *write("prices", workdir)[:2]]) == 0
    assert asked[2] == "known columns (- for none) [Load forecast]: "
    tree = yaml.safe_load((workdir / "my.yml").read_text())
    data = tree["data"]["init_args"]
    assert data["target_covariate"] == "price"
    assert data["known_covariates"] == ["Load forecast"]
    assert "known_past_covariates" not in data
    assert data["tgt_seq_len"] == 12
    assert tree["model"]["class_path"] == "EncoderDecoderLSTM"


def test_answers_are_taken_where_no_calendar_tells_a_season(workdir, monkeypatch):
    answers = iter(["", "I_ref", "", "25", "60", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    write("runs", workdir)
    assert main(["init", "--data", "*.parquet"]) == 0
    data = yaml.safe_load((workdir / "my.yml").read_text())["data"]["init_args"]
    assert data["known_covariates"] == ["I_ref"]
    assert (data["ctxt_seq_len"], data["tgt_seq_len"]) == (60, 25)


def test_a_covariate_that_is_the_target_is_told(workdir, capsys):
    frame = prices(700)
    frame["copy"] = 2 * frame["price"]
    frame.to_csv(workdir / "copy.csv", index=False)
    assert main(["init", "--data", "copy.csv", "--target", "price", "--known", "copy"]) == 0
    assert "'copy' is left out: leak: it is price on the same row" in capsys.readouterr().err
    assert (
        "known_covariates"
        not in yaml.safe_load((workdir / "my.yml").read_text())["data"]["init_args"]
    )


def test_torch_is_not_imported(workdir):
    words = ["init", *write("single", workdir)]
    code = f"import sys; from transformertf.cli import main; assert main({words}) == 0; "
    ended = subprocess.run(
        [sys.executable, "-c", f"{code} assert 'torch' not in sys.modules"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
