"""What other libraries, and people in a hurry, call the keys of a configuration.

An unknown key is answered by its meaning where it has one here, else by the nearest letters. Names
of one meaning stand in one row.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

# what it is here, to what others call it; `--` begins an option
_NAMES: Mapping[str, str] = {
    "data.target_covariate": ("target target_column target_name label y target_covariates"),
    "data.known_covariates": (
        "known futr_exog_list future_covariates future_exog known_covariates_names "
        "time_varying_known_reals time_varying_known known_reals"
    ),
    "data.known_covariates and data.categorical_covariates": (
        "time_varying_known_categoricals known_categoricals"
    ),
    "data.known_past_covariates": (
        "past hist_exog_list past_covariates past_exog past_covariates_names "
        "time_varying_unknown_reals time_varying_unknown unknown_reals observed_covariates"
    ),
    "data.known_past_covariates and data.categorical_covariates": (
        "time_varying_unknown_categoricals unknown_categoricals"
    ),
    "data.static_covariates": "static static_reals stat_exog_list static_features static_exog",
    "data.static_covariates and data.categorical_covariates": "static_categoricals",
    "data.categorical_covariates": (
        "categorical_features cat_features categoricals variable_groups categorical"
    ),
    "data.series_id": (
        "group_ids unique_id unique_ids item_id id_column id_col group_column group_cols groups "
        "series_ids id"
    ),
    "data.time_column": (
        "time time_idx ds time_col date_column datetime_column timestamp timestamp_column date_col"
    ),
    "data.calendar_features": "add_encoders datetime_features time_features add_datetime_features",
    "data.target_lags": "lags lag",
    "data.weight_covariate": "sample_weight sample_weights weight weight_column weights",
    "data.ctxt_seq_len": (
        "context max_encoder_length input_chunk_length input_size context_length encoder_length "
        "lookback lookback_window input_length history_length look_back"
    ),
    "data.min_ctxt_seq_len": "min_encoder_length min_context_length start_padding_enabled",
    "data.tgt_seq_len": (
        "horizon h max_prediction_length output_chunk_length prediction_length forecast_horizon "
        "fh decoder_length output_length pred_len"
    ),
    "data.min_tgt_seq_len": "min_prediction_length",
    "data.seq_len": "training_length sequence_length window_length window_size",
    "data.randomize_seq_len": "randomize_length",
    "data.train_df_paths": (
        "train train_path train_paths train_file train_files train_data data_path training_data "
        "train_df"
    ),
    "data.val_df_paths": (
        "val val_path val_paths val_files val_data val_series validation_data val_df"
    ),
    "data.test_df_paths": "test test_path test_paths test_files test_data test_df",
    "data.predict_df_paths": "predict_data predict_path new_data",
    "data.future_df_paths": "futr_df future_data future_df",
    "data.val_fraction": "val_size validation_fraction val_split validation_split val_ratio",
    "data.test_fraction": "test_size test_split test_ratio",
    "data.normalize": (
        "target_normalizer scaler_type local_scaler_type scaler scaling normalise normalization "
        "standardize"
    ),
    "data.normalize: window": "use_reversible_instance_norm revin",
    "data.extra_transforms": "scalers transforms transform target_transform pre_transforms",
    "data.missing": "allow_missing_timesteps allow_missings impute_missing",
    "data.stride": "step_size",
    "data.add_target_to_past": "exclude_insample_y",
    "data.batch_size": (
        "batch bs windows_batch_size valid_batch_size train_batch_size inference_windows_batch_size"
    ),
    "data.num_workers": "workers num_loader_workers n_workers",
    "data.distributed": "distributed_sampler",
    "data.drop_short_series": "drop_short",
    "data.downsample": "subsample thin decimate",
    "data.time_zone": "tz timezone",
    "data.csv.sep": "sep delimiter separator",
    "data.csv.decimal": "decimal",
    "data.csv.encoding": "encoding",
    "data.csv.skiprows": "skip_rows skiprows",
    "trainer.max_epochs": "epochs n_epochs num_epochs nb_epochs epoch",
    "trainer.max_steps": "steps num_steps n_steps max_iterations iterations",
    "trainer.check_val_every_n_epoch": "nr_epochs_val_period",
    "trainer.val_check_interval": "val_check_steps",
    "trainer.gradient_clip_val": (
        "grad_clip clip_grad gradient_clip clip_gradient max_grad_norm gradient_clipping"
    ),
    "trainer.accelerator": "device gpu",
    "trainer.devices": "gpus num_gpus n_gpus",
    "trainer.precision": "amp fp16 mixed_precision half",
    "trainer.log_every_n_steps": "log_interval",
    "trainer": "pl_trainer_kwargs trainer_kwargs",
    "trainer.callbacks: EarlyStopping": (
        "early_stopping patience early_stop_patience_steps early_stopping_patience early_stop"
    ),
    "trainer.callbacks: LearningRateMonitor": "lr_monitor",
    "trainer.callbacks": "callback",
    "trainer.logger": "loggers",
    "optimizer.lr": "lr learning_rate base_lr max_lr",
    "optimizer.weight_decay": "weight_decay wd l2",
    "optimizer": "optimizer_params optimizer_kwargs optimizer_cls optim optimizer_name",
    "lr_scheduler": (
        "scheduler lr_scheduler_cls lr_scheduler_kwargs reduce_on_plateau_patience "
        "num_lr_decays lr_schedule"
    ),
    "lr_scheduler.interval": "lr_step_interval",
    "model.criterion": "loss loss_fn loss_function likelihood",
    "model.criterion: QuantileLoss": "quantiles quantile_levels levels level",
    "model.logging_metrics": "metrics torch_metrics eval_metric valid_loss",
    "model.output_dim": "output_size",
    "model.d_model or model.d_encoder": (
        "hidden_size hidden_dim encoder_hidden_size hidden units hidden_units d_hidden"
    ),
    "model.d_decoder": "decoder_hidden_size",
    "model.d_mlp_hidden": "d_fc",
    "model.d_hidden_continuous": "hidden_continuous_size",
    "model.num_heads": "attention_head_size n_head n_heads num_attention_heads nhead",
    "model.num_layers or model.num_lstm_layers or model.num_encoder_layers": (
        "lstm_layers n_layers n_rnn_layers encoder_n_layers layers"
    ),
    "model.num_decoder_layers": "decoder_n_layers",
    "model.dropout": "dropout_rate",
    "model.causal_attention": "full_attention",
    "model.compile_model": "compile",
    "model.trainable_parameters": "freeze frozen",
    "seed_everything": "seed random_seed random_state",
    "num_threads": "threads",
    "ema": "ema_decay",
    "checkpoint_every": "save_every",
    "--name": "experiment_name model_name run_name project alias",
    "--ckpt_path": "checkpoint resume resume_from weights_path",
    "--transfer-ckpt": "transfer_ckpt pretrained finetune",
    "--output": "out outfile output_file",
    "--refit": "n_windows retrain folds",
}
# what a configuration does without, and why
_LEFT_OUT: Mapping[str, str] = {
    "add_relative_time_idx": "the place in the horizon is an input where nothing else is known",
    "add_target_scales": "normalize: window tells a model of the level of each context",
    "add_encoder_length": "models are told the lengths",
    "no_auto_configure_optimizers": "optimizer and lr_scheduler are those of the configuration",
    "model_summary": "a fit prints one",
    "save_checkpoints": "the best checkpoint and the last are always kept",
    "checkpoint_best": "the best checkpoint is always kept",
    "fit": "what stood in it is checkpoint_every, or always done",
    "predict_mode": "the command says what is done",
    "reduction": "losses are means over the data",
    "drop_last_loader": "no window is dropped",
    "n_layers_fc": "the output is one layer, or that of d_mlp_hidden",
    "print_config": "each run folder has all that holds as config.yaml",
}
_LETTERS: Mapping[str, str] = {
    "-e": "trainer.max_epochs",
    "-b": "data.batch_size",
    "-d": "data.train_df_paths",
    "-m": "model",
    "-s": "seed_everything",
    "-o": "output",
    "-l": "optimizer.lr",
    "-g": "trainer.devices",
}
# endings of what a command wants after a flag
_FILES: Mapping[str, str] = {
    ".yml": "--config",
    ".yaml": "--config",
    ".ckpt": "--ckpt_path",
    **dict.fromkeys((".csv", ".parquet", ".feather", ".txt", ".tsv"), "--data.predict_df_paths"),
}
SYNONYMS: Mapping[str, str] = {name: own for own, names in _NAMES.items() for name in names.split()}


def meant_by(key: str, sections: Mapping[str, Sequence[str]]) -> str | None:
    """Return what an unknown key is here; None where nobody knows.

    Args:
        key: its last part.
        sections: the keys of each section of a configuration, by its name.
    """
    word = key.replace("-", "_").lower()
    if word in _LEFT_OUT:
        return f"leave it out: {_LEFT_OUT[word]}"
    if word in SYNONYMS:
        return f"{key} is {_there(SYNONYMS[word], sections)} here"
    for section, keys in sections.items():
        if key in keys:
            return f"{key} is {section}.{key} here"
    return None


def _there(own: str, sections: Mapping[str, Sequence[str]]) -> str:
    """Return those of several names that a section has, all where it has none."""

    def is_there(name: str) -> bool:
        section, _, key = name.partition(".")
        return key in sections.get(section, ())

    names = own.split(" or ")
    return " or ".join([name for name in names if is_there(name)] or names)


def misplaced(word: str) -> str | None:
    """Return what a word that belongs to no flag should have been; None where nobody knows."""
    if word in _LETTERS:
        return f"{word} is --{_LETTERS[word]} here"
    flag = _FILES.get(PurePath(word).suffix.lower())
    return None if flag is None else f"give {flag} {word}"
