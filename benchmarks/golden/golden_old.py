"""Golden figures of the OLD code, written to golden/<case>.npz.

cd old && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 nice \
    python golden_old.py [case ...]        (-v: tracebacks)
"""
from golden_common import *  # noqa: F403  (first: it sets threads and the path)
from golden_common import _TRIED  # noqa: F401

assert "old/" in mne_samba.__file__, mne_samba.__file__
from mne_samba import (
    FramewiseRegressor, LearnableHRF, SambaClassifier, SambaTranslator, WaveletBandAttention,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from sklearn.linear_model import Ridge


def translator(**options):
    return SambaTranslator(t_r=T_R, random_state=0, **options)


def forward(train, test, **options):
    return forward_seen(translator(**options).fit(*train), *test)


def back(train, test, **options):
    """Data in the order (electrophysiology, BOLD)."""
    (X, y), (Xt, yt) = train, test
    model = translator(direction="hemo_to_ele", **options).fit(y, X)
    return inverse_seen(model, yt, Xt)


def forward_core():
    return forward(*recordings(named=True), corrections="never")


def forward_default():
    return forward(*recordings())


def forward_always():
    return forward(*recordings(), corrections="always", max_epochs=3)


def forward_windows():
    return forward(*windows(), corrections="never")


def forward_windows_default():
    return forward(*windows(), max_epochs=4)


def forward_arrays():
    return forward(*array_recordings(), corrections="never", sfreq=SFREQ)


def forward_array_windows():
    train, test, tmin = array_windows()
    return forward(train, test, corrections="never", sfreq=SFREQ, tmin=tmin)


def forward_table():
    return forward(*table())


def forward_table_core():
    return forward(*table(), corrections="never")


def forward_table_one_target():
    (X, y), (Xt, yt) = table()
    return forward((X, y[:, 0]), (Xt, yt[:, 0]), corrections="never")


def forward_missing_region():
    return forward(*missing_region(), corrections="never")


def forward_fir():
    return forward(*recordings(), corrections="never", hrf="fir")


def forward_canonical_log():
    return forward(*recordings(), corrections="never", hrf="canonical", power="log")


def forward_own_bands():
    return forward(*recordings(), corrections="never", target_bands=True)


def forward_morlet():
    return forward(*recordings(), corrections="never", wavelet="morlet")


def forward_warm():
    first, second, test = two_people()
    model = translator(corrections="never", warm_start=True).fit(*first)
    return forward_seen(model.fit(*second), *test)


def forward_warm_always():
    first, second, test = two_people()
    model = translator(corrections="always", max_epochs=2, warm_start=True).fit(*first)
    return forward_seen(model.fit(*second), *test)


def forward_bad_scrubbed():
    return forward(*bad_scrubbed(), corrections="never")


def forward_options():
    return forward(
        *late_frames(), bands=BANDS, wavelet="morlet", n_cycles=6.0, picks=picked(),
        **OPTIONS_MODEL, **OPTIONS_READ, **OPTIONS_TRAIN,
    )


def forward_paper():
    return forward(*recordings(), variant="paper", max_epochs=2)


def forward_paper_windows():
    return forward(*windows(), variant="paper", max_epochs=2, n_hidden=8, hrf="canonical",
                   recurrent="gru")


def inverse_core():
    return back(*recordings(named=True), corrections="never")


def inverse_always():
    return back(*recordings(), corrections="always", max_epochs=2)


def inverse_default():
    return back(*recordings(), max_epochs=4)


def inverse_windows():
    return back(*windows(), corrections="never")


def inverse_missing_region():
    return back(*missing_region(), corrections="never")


def inverse_bad_scrubbed():
    return back(*bad_scrubbed(), corrections="never")


def inverse_warm():
    (X, y), (X2, y2), (Xt, yt) = two_people()
    model = translator(direction="hemo_to_ele", corrections="never", warm_start=True).fit(y, X)
    return inverse_seen(model.fit(y2, X2), yt, Xt)


def inverse_options():
    return back(*late_frames(), picks=picked(), **OPTIONS_BACK, **OPTIONS_READ, **OPTIONS_TRAIN)


def inverse_paper():
    return back(*recordings(), variant="paper", max_epochs=2)


@functools.lru_cache
def both():
    (X, y), _ = windows(24.0, larger)
    return translator(direction="both", corrections="never").fit(X, y)


def latent_both():
    model, (_, (Xt, yt)) = both(), windows(24.0, larger)
    out = {**attributes(model), **latent_seen(model, Xt, yt)}
    for name in CORE:
        put(out, f"inverse.core_.{name}", getattr(model._reverse.core, name))
    return out


def latent_classifier():
    (X, _), (Xt, _) = windows(24.0, larger)
    model = SambaClassifier(both()).fit(X, labels(len(X)))
    return classifier_seen(model, Xt)


def forward_classifier():
    (X, y), (Xt, _) = windows()
    model = SambaClassifier(translator(corrections="never")).fit(X, labels(len(X)), bold=y)
    return classifier_seen(model, Xt)


def saved_forward():
    train, test = recordings()
    return forward_seen(
        through_file(translator(corrections="never").fit(*train), read_samba), *test
    )


def saved_forward_always():
    train, test = recordings()
    model = translator(corrections="always", max_epochs=2).fit(*train)
    return forward_seen(through_file(model, read_samba), *test)


def saved_forward_paper():
    train, test = recordings()
    model = translator(variant="paper", n_hidden=8, max_epochs=1).fit(*train)
    return forward_seen(through_file(model, read_samba), *test)


def saved_inverse():
    (X, y), (Xt, yt) = recordings()
    model = translator(direction="hemo_to_ele", corrections="never").fit(y, X)
    return inverse_seen(through_file(model, read_samba), yt, Xt)


def saved_both():
    _, (Xt, yt) = windows(24.0, larger)
    return latent_seen(through_file(both(), read_samba), Xt, yt)


def ridge(train, test, **options):
    return forward_seen(BandPowerRidge(t_r=T_R, **options).fit(*train), *test, std=False)


def ridge_recordings():
    return ridge(*recordings())


def ridge_recordings_fir():
    return ridge(*recordings(), hrf="fir", power="linear", wavelet="morlet", n_cycles=5.0)


def ridge_60s_windows():
    return ridge(*windows())


def ridge_60s_windows_fir():
    return ridge(*windows(), hrf="fir", alpha_per_target=False, n_folds=4, gap=10.0)


def ridge_missing_region():
    return ridge(*missing_region())


def learn(data, **options):
    train, test = data
    model = LearnableHRF(t_r=T_R, sfreq=10.0, verbose=False, **options).fit(*train)
    out = forward_seen(model, *test, std=False)
    put(out, "inverse_transform", model.inverse_transform(test[1]))
    return out


def drive_double_gamma():
    return learn(drives(4), n_bootstrap=5, random_state=0)


def drive_fir():
    return learn(drives(4), hrf="fir", detrend="linear", sample_time_ref=0.5)


def drive_canonical():
    return learn(drives(4), hrf="canonical", hrf_length=24.0)


def drive_fast():
    return learn(drives(4), bounds="fast", hrf_length=10.0, shrinkage=0.5, shrink_to="canonical")


def drive_mapped():
    return learn(drives(5))


def drive_windows_arrays():
    return learn(drive_windows(), tmin=-30.0)


def weigh(train, Xt, **options):
    model = WaveletBandAttention(t_r=T_R, wavelet="morlet", n_cycles=5.0, **options)
    model.fit(*train)
    out = attributes(model)
    put(out, "transform", model.transform(Xt))
    put(out, "names_out", list(model.get_feature_names_out()))
    return out, model


def attention_bold():
    train, (Xt, _) = recordings()
    out, model = weigh(train, Xt)
    put(out, "reconstruct", [wave[:, ::20] for wave in model.reconstruct(Xt)])
    return out


def attention_windows():
    train, (Xt, _) = windows()
    return weigh(train, Xt, output="features", rate=1.0)[0]


def attention_alone():
    (X, _), (Xt, _) = recordings()
    return weigh((X, None), Xt)[0]


def framewise():
    train, test = frame_rows()
    model = FramewiseRegressor(Ridge(), t_r=T_R, detrend="cosine").fit(*train)
    return forward_seen(model, *test, std=False)


def framewise_windows():
    train, test = frame_row_windows()
    model = FramewiseRegressor(t_r=T_R, detrend="linear").fit(*train)
    return forward_seen(model, *test, std=False)


CASES = {
    case.__name__: case
    for case in (
        forward_core, forward_default, forward_always, forward_windows, forward_windows_default,
        forward_arrays, forward_array_windows, forward_table, forward_table_core,
        forward_table_one_target, forward_missing_region, forward_fir, forward_canonical_log,
        forward_own_bands, forward_morlet, forward_warm, forward_warm_always, forward_bad_scrubbed,
        forward_options, forward_paper, forward_paper_windows, inverse_core, inverse_always,
        inverse_default, inverse_windows, inverse_missing_region, inverse_bad_scrubbed,
        inverse_warm, inverse_options, inverse_paper, latent_both, latent_classifier,
        forward_classifier, saved_forward, saved_forward_always, saved_forward_paper,
        saved_inverse, saved_both, ridge_recordings, ridge_recordings_fir, ridge_60s_windows,
        ridge_60s_windows_fir, ridge_missing_region, drive_double_gamma, drive_fir,
        drive_canonical, drive_fast, drive_mapped, drive_windows_arrays, attention_bold, attention_windows,
        attention_alone, framewise, framewise_windows,
    )
}

if __name__ == "__main__":
    # --compare: against the stored files, to see whether the old code repeats itself.
    run(CASES, compare if "--compare" in sys.argv else store)
