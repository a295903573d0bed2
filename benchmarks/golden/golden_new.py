"""The cases of golden_old.py in the NEW API, compared with the stored figures of the old code.

Run from the root of the tree that is tried:

cd . && OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 nice \
    python golden_new.py [case ...]        (-v: tracebacks)

Per case: the largest absolute and relative difference (relative to the largest magnitude of the
array), and a line for each array that differs by more than 1e-10 of it, lacks, or is additional.
"names" lists published attributes that went or came; the internal ones that the contract makes
private (golden_common.INTERNAL: grid_, kind_, scaler_, ...) may go without a flag. "refused" lines
are calls that raised here: their arrays are "missing".

Names are imported within the cases: a part that does not exist yet fails its own cases alone.
"""
from golden_common import *  # noqa: F403  (first: it sets threads and the path)

assert str(Path(mne_samba.__file__).parents[1]) == os.getcwd(), mne_samba.__file__
assert "old/" not in mne_samba.__file__, "the old code has no such API: golden_old.py"
from sklearn.linear_model import Ridge


def new(name: str):
    """Public class or function of the package."""
    return getattr(mne_samba, name)


def morlet(bands=None, n_cycles=7.0):
    from mne_samba.wavelets import Morlet

    return Morlet(bands=bands, n_cycles=n_cycles)


def translator(model="samba", **options):
    return new("SambaTranslator")(t_r=T_R, model=model, random_state=0, **options)


def inverse(model="samba", **options):
    return new("InverseTranslator")(t_r=T_R, model=model, random_state=0, **options)


def core(**options):
    return new("CoreModel")(**options)


def trainer(**options):
    return new("Trainer")(**options)


def reader(**options):
    return new("Reader")(**options)


def forward(train, test, model="samba", **options):
    return forward_seen(translator(model, **options).fit(*train), *test)


def back(train, test, model="samba", **options):
    """Data in the order (electrophysiology, BOLD)."""
    (X, y), (Xt, yt) = train, test
    return inverse_seen(inverse(model, **options).fit(y, X), yt, Xt)


def forward_core():
    return forward(*recordings(named=True), "core")


def forward_default():
    return forward(*recordings())


def forward_always():
    return forward(
        *recordings(), new("SambaModel")(corrections="always"), trainer=trainer(max_epochs=3)
    )


def forward_windows():
    return forward(*windows(), "core")


def forward_windows_default():
    return forward(*windows(), trainer=trainer(max_epochs=4))


def forward_arrays():
    return forward(*array_recordings(), "core", reader=reader(sfreq=SFREQ))


def forward_array_windows():
    train, test, tmin = array_windows()
    return forward(train, test, "core", reader=reader(sfreq=SFREQ, tmin=tmin))


def forward_table():
    return forward(*table())


def forward_table_core():
    return forward(*table(), "core")


def forward_table_one_target():
    (X, y), (Xt, yt) = table()
    return forward((X, y[:, 0]), (Xt, yt[:, 0]), "core")


def forward_missing_region():
    return forward(*missing_region(), "core")


def forward_fir():
    return forward(*recordings(), core(hrf="fir"))


def forward_canonical_log():
    return forward(*recordings(), core(hrf="canonical", power="log"))


def forward_own_bands():
    return forward(*recordings(), core(target_bands=True))


def forward_morlet():
    return forward(*recordings(), core(bands=morlet()))


def forward_warm():
    first, second, test = two_people()
    model = translator("core", warm_start=True).fit(*first)
    return forward_seen(model.fit(*second), *test)


def forward_warm_always():
    first, second, test = two_people()
    model = translator(
        new("SambaModel")(corrections="always"), trainer=trainer(max_epochs=2), warm_start=True
    )
    return forward_seen(model.fit(*first).fit(*second), *test)


def forward_bad_scrubbed():
    return forward(*bad_scrubbed(), "core")


def forward_options():
    model = new("SambaModel")(bands=morlet(BANDS, 6.0), **OPTIONS_MODEL)
    return forward(
        *late_frames(), model, reader=reader(picks=picked(), **OPTIONS_READ),
        trainer=trainer(**OPTIONS_TRAIN),
    )


def forward_paper():
    return forward(*recordings(), "paper", trainer=trainer(max_epochs=2))


def forward_paper_windows():
    model = new("PaperModel")(n_hidden=8, hrf="canonical", recurrent="gru")
    return forward(*windows(), model, trainer=trainer(max_epochs=2))


def inverse_core():
    return back(*recordings(named=True), "core")


def inverse_always():
    return back(
        *recordings(), new("InverseSambaModel")(corrections="always"),
        trainer=trainer(max_epochs=2),
    )


def inverse_default():
    return back(*recordings(), trainer=trainer(max_epochs=4))


def inverse_windows():
    return back(*windows(), "core")


def inverse_missing_region():
    return back(*missing_region(), "core")


def inverse_bad_scrubbed():
    return back(*bad_scrubbed(), "core")


def inverse_warm():
    (X, y), (X2, y2), (Xt, yt) = two_people()
    model = inverse("core", warm_start=True).fit(y, X)
    return inverse_seen(model.fit(y2, X2), yt, Xt)


def inverse_options():
    return back(
        *late_frames(), new("InverseSambaModel")(**OPTIONS_BACK),
        reader=reader(picks=picked(), **OPTIONS_READ), trainer=trainer(**OPTIONS_TRAIN),
    )


def inverse_paper():
    return back(*recordings(), "paper", trainer=trainer(max_epochs=2))


@functools.lru_cache
def both():
    (X, y), _ = windows(24.0, larger)
    return new("LatentTranslator")(translator("core"), inverse("core")).fit(X, y)


def part(model, name: str):
    """Fitted way of a LatentTranslator: forward_ or inverse_."""
    return getattr(model, f"{name}_", None) or getattr(model, name)


def latent_both():
    model, (_, (Xt, yt)) = both(), windows(24.0, larger)
    out = {**attributes(part(model, "forward")), **latent_seen(model, Xt, yt)}
    history(out, "alignment_history_", getattr(model, "alignment_history_", None))
    for name in CORE:
        put(out, f"inverse.core_.{name}", getattr(part(model, "inverse").core_, name, None))
    return out


def latent_classifier():
    (X, _), (Xt, _) = windows(24.0, larger)
    model = new("SambaClassifier")(both()).fit(X, labels(len(X)))
    return classifier_seen(model, Xt)


def forward_classifier():
    (X, y), (Xt, _) = windows()
    model = new("SambaClassifier")(translator("core")).fit(X, labels(len(X)), bold=y)
    return classifier_seen(model, Xt)


def saved_forward():
    train, test = recordings()
    return forward_seen(through_file(translator("core").fit(*train), new("read_samba")), *test)


def saved_forward_always():
    train, test = recordings()
    model = translator(
        new("SambaModel")(corrections="always"), trainer=trainer(max_epochs=2)
    ).fit(*train)
    return forward_seen(through_file(model, new("read_samba")), *test)


def saved_forward_paper():
    train, test = recordings()
    model = translator(new("PaperModel")(n_hidden=8), trainer=trainer(max_epochs=1)).fit(*train)
    return forward_seen(through_file(model, new("read_samba")), *test)


def saved_inverse():
    (X, y), (Xt, yt) = recordings()
    return inverse_seen(through_file(inverse("core").fit(y, X), new("read_samba")), yt, Xt)


def saved_both():
    _, (Xt, yt) = windows(24.0, larger)
    return latent_seen(through_file(both(), new("read_samba")), Xt, yt)


def ridge(train, test, **options):
    from mne_samba.baselines import BandPowerRidge

    return forward_seen(BandPowerRidge(t_r=T_R, **options).fit(*train), *test, std=False)


def ridge_recordings():
    return ridge(*recordings())


def ridge_recordings_fir():
    return ridge(*recordings(), hrf="fir", power="linear", bands=morlet(n_cycles=5.0))


def ridge_60s_windows():
    return ridge(*windows())


def ridge_60s_windows_fir():
    return ridge(*windows(), hrf="fir", alpha_per_target=False, n_folds=4, gap=10.0)


def ridge_missing_region():
    return ridge(*missing_region())


def learn(data, read=(), **options):
    train, test = data
    model = new("LearnableHRF")(
        t_r=T_R, reader=reader(sfreq=10.0, **dict(read)), verbose=False, **options
    ).fit(*train)
    out = forward_seen(model, *test, std=False)
    put(out, "inverse_transform", model.inverse_transform(test[1]))
    return out


def drive_double_gamma():
    return learn(drives(4), n_bootstrap=5, random_state=0)


def drive_fir():
    return learn(drives(4), {"detrend": "linear"}, hrf="fir", sample_time_ref=0.5)


def drive_canonical():
    return learn(drives(4), hrf="canonical", hrf_length=24.0)


def drive_fast():
    return learn(
        drives(4), hrf_bounds="fast", hrf_length=10.0, shrinkage=0.5, shrink_to="canonical"
    )


def drive_mapped():
    return learn(drives(5))


def drive_windows_arrays():
    return learn(drive_windows(), {"tmin": -30.0})


def weigh(train, Xt, **options):
    model = new("WaveletBandAttention")(t_r=T_R, bands=morlet(n_cycles=5.0), **options)
    model.fit(*train)
    out = attributes(model)
    put(out, "transform", model.transform(Xt))
    put(out, "names_out", list(model.get_feature_names_out()))
    return out, model


def attention_bold():
    train, (Xt, _) = recordings()
    out, model = weigh(train, Xt)
    ask(out, "reconstruct", lambda: [wave[:, ::20] for wave in model.reconstruct(Xt)])
    return out


def attention_windows():
    train, (Xt, _) = windows()
    return weigh(train, Xt, output="features", rate=1.0)[0]


def attention_alone():
    (X, _), (Xt, _) = recordings()
    return weigh((X, None), Xt)[0]


def framewise():
    train, test = frame_rows()
    model = new("FramewiseRegressor")(Ridge(), t_r=T_R, detrend="cosine").fit(*train)
    return forward_seen(model, *test, std=False)


def framewise_windows():
    train, test = frame_row_windows()
    model = new("FramewiseRegressor")(t_r=T_R, detrend="linear").fit(*train)
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
        drive_canonical, drive_fast, drive_mapped, drive_windows_arrays, attention_bold,
        attention_windows, attention_alone, framewise, framewise_windows,
    )
}

if __name__ == "__main__":
    run(CASES, compare)
