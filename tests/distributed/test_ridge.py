"""Two processes begin with the ridge regression of one."""

from pathlib import Path
from typing import Any

import lightning
import torch

from tests.cli.conftest import make_frame
from tests.runs import quiet_trainer, same
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM


def state_after_a_step(path: Path) -> dict[str, torch.Tensor]:
    lightning.seed_everything(3, verbose=False)
    data = EncoderDecoderDataModule(
        "target", ["known"], ["past"], train_df_paths=str(path), val_fraction=0.3,
        ctxt_seq_len=6, tgt_seq_len=3, batch_size=8,
    )  # fmt: skip
    sizes = data.num_past_known_covariates, data.num_future_known_covariates
    module = EncoderDecoderLSTM(*sizes, d_encoder=4, d_decoder=4, prediction_type="ridge")
    torch.nn.init.zeros_(module.model.get_parameter("head.0.weight"))
    options: dict[str, Any] = {"max_steps": 1, "use_distributed_sampler": False}
    quiet_trainer(**options).fit(module, datamodule=data)
    return module.state_dict()


def test_all_processes_have_the_same(on_ranks: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    make_frame(90, 1).to_parquet(path)
    alone = state_after_a_step(path)
    ranks = on_ranks(state_after_a_step, path)
    names = [name for name in alone if name.startswith("baseline.")]
    assert alone["baseline.past"].abs().min() > 0
    for state in ranks:
        assert all(torch.equal(state[name], alone[name]) for name in names)
    assert same(*ranks)
