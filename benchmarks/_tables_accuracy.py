"""Tables of the accuracy benchmark: means over seeds, and aims beside what was found."""

from __future__ import annotations

import numpy as np
import pandas as pd

RIDGES = ["ridge canonical", "ridge FIR"]
LINEAR = "ridge canonical, linear power"


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and ratios to the best ridge and to the oracle."""
    keys = ["world", "level", "minutes", "snr"]
    numbers = [
        c
        for c in ("r", "r_measured", "r2", "fit_s", "peak_r", "peak_error", "weights_r", "map_r")
        if c in table
    ]
    mean = table.groupby([*keys, "model"], sort=False)[numbers].mean().reset_index()
    spread = table.groupby([*keys, "model"], sort=False)["r"].std().reset_index(name="r_sd")
    mean = mean.merge(spread, on=[*keys, "model"])
    count = table.groupby([*keys, "model"], sort=False)["seed"].nunique().reset_index(name="seeds")
    mean = mean.merge(count, on=[*keys, "model"])
    for key, part in mean.groupby(keys, sort=False):
        ridge = part.loc[part.model.isin(RIDGES), "r"].max()
        best = part.loc[part.model == "oracle", "r"]
        index = part.index
        mean.loc[index, "x_ridge"] = part.r / ridge
        if (part.model == LINEAR).any():
            mean.loc[index, "x_linear_ridge"] = part.r / part.loc[part.model == LINEAR, "r"].iloc[0]
        if len(best):
            mean.loc[index, "of_oracle"] = part.r / best.iloc[0]
        del key
    return mean


def goals(mean: pd.DataFrame) -> pd.DataFrame:
    """What was aimed at beside what was found, for settings that ran."""
    one = mean[(mean.model == "default") & (mean.level == "source")]
    rows = []

    def goal(name, world, minutes, snr, column, wanted, least=True):
        part = one[(one.world == world) & (one.minutes == minutes) & (one.snr == snr)]
        if len(part) and column in part and np.isfinite(part[column].iloc[0]):
            found = float(part[column].iloc[0])
            met = found >= wanted if least else found <= wanted
            sign = ">=" if least else "<="
            rows.append((name, column, found, f"{sign} {wanted:g}", "yes" if met else "no"))

    for minutes, snr, column, wanted in (
        (10, 1.0, "of_oracle", 0.85), (10, 1.0, "x_ridge", 1.6),
        (30, 1.0, "of_oracle", 0.94), (30, 1.0, "x_ridge", 1.4),
        (60, 1.0, "of_oracle", 0.96), (30, 0.25, "x_ridge", 1.6),
        (60, 4.0, "peak_r", 0.97), (60, 4.0, "weights_r", 0.95), (60, 4.0, "map_r", 0.95),
    ):  # fmt: skip
        goal(f"{minutes} min, SNR {snr:g}", "plain", minutes, snr, column, wanted)
    goal("60 min, SNR 4", "plain", 60, 4.0, "peak_error", 0.15, least=False)
    goal("six people x 10 min, SNR 1", "six people", 10, 1.0, "x_ridge", 1.35)
    new = mean[mean.world == "new person"].set_index("model")["r"]
    if {"adapted", "unadapted", "from scratch"} <= set(new.index):
        gain = new["adapted"] - max(new["unadapted"], new["from scratch"])
        rows.append(
            ("new person, 5 min", "r above the better", gain, "> 0", "yes" if gain > 0 else "no")
        )
    behind = []
    for _, part in mean.groupby(["world", "level", "minutes", "snr"]):
        r = part.set_index("model")["r"]
        if "default" in r and any(name in r for name in RIDGES):
            behind.append(float(r["default"] - r.reindex(RIDGES).max()))
    if behind:
        met = "yes" if min(behind) >= -0.01 else "no"
        rows.append(
            (f"worst of {len(behind)} settings", "r above ridge", min(behind), ">= -0.01", met)
        )
    real = mean[(mean.world == "semi-synthetic") & (mean.model == "default")]
    for _, row in real.iterrows():
        met = "yes" if row.peak_error <= 0.5 else "no"
        rows.append((row.level, "peak_error", row.peak_error, "<= 0.5", met))
    return pd.DataFrame(rows, columns=["setting", "figure", "found", "goal", "met"])
