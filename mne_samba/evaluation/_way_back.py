"""From BOLD to electrophysiology: what is predicted, and tested BOLD without its drift."""

import numpy as np
import pandas as pd

from ..data.bold import detrend_segments, recording_scale
from ..data.given import what_is_bold
from ..inverse import InverseTranslator
from ..models.inverse_data import check_long_enough, frames_after, longer, pair_inverse, rows


def band_power(translator: InverseTranslator, bold, ele) -> tuple[list[np.ndarray], list[str], int]:
    """Log band power (n_frames, n_channels * n_bands) of every sample, and names of its columns.

    As ``target_from`` gives it, but with its drift, which scoring removes run by run. Also says of
    how many bins at the end of a sample the response is cut off.
    """
    what_is_bold(bold, "X")
    reader, model, _ = translator.assembly
    translator.assembly.check()
    rec = reader.read_pair(ele, bold, translator.t_r, may_lack=model.may_lack, names=("y", "X"))
    check_long_enough(rec, "X")
    features = model.features(rec)
    powers = features.measure(longer(rec), reader.memory)
    _, scale = pair_inverse(rec, powers, features.grid, detrend=None)
    targets = scale.standard_targets(rec, powers)
    names = [f"{channel} {band}" for channel in rec.ch_names for band in features.bands]
    return [rows(target) for target in targets], names, frames_after(rec.t_r)


def without_drift(
    tested: list[np.ndarray], trained: list[np.ndarray], samples, train, test, method
) -> list[np.ndarray]:
    """Remove the drift of their recording from tested windows of BOLD, not the mean of training."""
    # A window alone does not tell drift from signal, so that ``predict`` takes it as it is.
    table = pd.DataFrame({"recording": samples.label[test], "frame": samples.first[test]})
    clean = detrend_segments(tested, table, "windows", samples.t_r[0], method)
    scales = recording_scale(trained, samples.label[train].tolist())
    level = np.mean([mean for mean, _ in scales.values()], axis=0)
    return [part + level for part in clean]
