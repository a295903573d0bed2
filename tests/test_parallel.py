"""Fits spread over the workers of a real dask cluster give the numbers of a single process."""

import os

import dask
import distributed
import joblib
import numpy as np
import pandas as pd
import pytest
from assemble import quick
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from mne_samba import CoreModel, LearnableHRF, Reader, SambaTranslator
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate


@pytest.fixture(scope="module")
def cluster():
    dask.config.get("distributed.nanny.pre-spawn-environ").pop("MALLOC_TRIM_THRESHOLD_", None)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def people():
    return simulate_paired(
        3, 150.0, sfreq=100.0, n_sources=6, n_targets=4, level="source", random_state=0
    )


@pytest.mark.slow
def test_people_left_out_on_dask(cluster, people):
    model = SambaTranslator(t_r=people.t_r, model=quick(CoreModel), random_state=0)

    def scores():
        return cross_val_score(
            model, people.raws, people.bolds, groups=people.subjects, cv=LeaveOneGroupOut(),
            n_jobs=2, error_score="raise",
        )  # fmt: skip

    def result():
        return evaluate(
            model, people.raws, people.bolds, groups=people.subjects, baselines=("mean",),
            nulls=("circular_shift",), n_shifts=19, n_jobs=2, random_state=0, verbose=False,
        ).to_frame()  # fmt: skip

    with joblib.parallel_config(backend="dask"):
        found, table = scores(), result()
    with joblib.parallel_config(backend="sequential"):
        pd.testing.assert_frame_equal(table, result(), check_exact=True)
        assert found.tolist() == scores().tolist()
    ran = cluster.run(lambda dask_worker: len(dask_worker.state.log))
    assert len(ran) == 2 and min(ran.values()) > 0
    # Advice of the page about trouble: workers that keep memory.
    kept = cluster.run(lambda: "MALLOC_TRIM_THRESHOLD_" in os.environ)
    assert not any(kept.values())


@pytest.mark.slow
def test_bootstraps_of_responses_on_dask(cluster):
    rng = np.random.default_rng(0)
    drive, bold = rng.standard_normal((2, 3, 3000)), rng.standard_normal((2, 150, 3))
    model = LearnableHRF(
        t_r=2.0, hrf="double_gamma", loss="squared", reader=Reader(sfreq=10.0), n_bootstrap=4,
        random_state=1,
    )  # fmt: skip
    one = model.fit([*drive], [*bold]).hrf_intervals_
    with joblib.parallel_config(backend="dask"):
        two = model.set_params(n_jobs=2).fit([*drive], [*bold]).hrf_intervals_
    pd.testing.assert_frame_equal(one, two)
