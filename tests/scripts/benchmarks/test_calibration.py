"""The measurement of coverage: a small one runs, and its page says what was found."""

import re

import numpy as np

from scripts.benchmarks import calibration


def test_simulated_noise_follows_the_covariate():
    table = calibration.simulate(300, 0)
    before = table.groupby("unit")["y"].shift()
    noise = (table["y"] - 0.9 * before - table["x"]).dropna()
    expected = 0.1 + table["x"][noise.index]
    # Student's t with five degrees of freedom
    assert abs((noise / expected).std() / np.sqrt(5 / 3) - 1) < 0.05
    assert calibration.simulate(2, 0).equals(calibration.simulate(2, 0))


def test_what_calibration_was_fitted_on_fresh_windows_agree_with():
    quantiles = {"class_path": "QuantileLoss", "init_args": {"quantiles": [0.25, 0.5, 0.75]}}
    series = (40, 400, 400)
    before, after = calibration.measure(quantiles, 1, series)
    assert before["windows"] == after["windows"] == 400
    # nearly untrained quantiles are far off; four standard errors of two samples of 400
    assert abs(after["coverage_0.5"] - 0.5) < 0.1 + 0.05
    assert abs(before["coverage_0.5"] - 0.5) > abs(after["coverage_0.5"] - 0.5)
    page = calibration.write_page("A machine.", {"mine": [before, after]}, 1, series)
    assert f"| mine | 50 % | {100 * before['coverage_0.5']:.1f} %" in page
    assert not re.search(r"[{}]", page)
