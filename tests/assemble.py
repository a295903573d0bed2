"""Translators from flat options: each goes to the part that has a parameter of that name."""

import inspect

from mne_samba import (
    InverseTranslator,
    LatentTranslator,
    Reader,
    SambaTranslator,
    Trainer,
    make_windows,
    models,
)
from mne_samba.wavelets import Morlet

# Nothing is chosen inside and no response searched: for tests of what is around a core.
QUICK = {
    "power": "linear",
    "target_bands": False,
    "map_prior": "gaussian",
    "hrf": "canonical",
    "unmix": None,
    "loss": "squared",
}
MODELS = {
    ("default", False): models.SambaModel,
    ("core", False): models.CoreModel,
    ("paper", False): models.PaperModel,
    ("default", True): models.InverseSambaModel,
    ("core", True): models.InverseCoreModel,
    ("paper", True): models.InversePaperModel,
}


def names_of(part) -> list[str]:
    """Parameters of a part."""
    return list(inspect.signature(part).parameters)


def hurry(patch, *classes):
    """Let models of these classes choose nothing inside unless they are told to."""
    for cls in classes:
        defaults = cls.__init__.__kwdefaults__
        for name, value in {**QUICK, "hrf": "double_gamma"}.items():
            if defaults.get(name) == "auto":
                patch.setitem(defaults, name, value)


def quick(cls, **options):
    """Model of a class whose core is quick."""
    return cls(**{name: QUICK[name] for name in names_of(cls) if name in QUICK} | options)


def _take(options: dict, part):
    """Remove what a part has from the options; None where nothing is asked of it."""
    own = {name: options.pop(name) for name in names_of(part) if name in options}
    return part(**own) if own else None


def assemble(direction="ele_to_hemo", variant="default", **options):
    """Translator whose model, reader and trainer have what is asked for.

    ``direction`` is "ele_to_hemo", "hemo_to_ele" or "both"; ``variant`` "default" or "paper";
    ``corrections="never"`` stands for the core alone; ``core="quick"`` for a quick one;
    ``wavelet="morlet"`` for Morlet wavelets.
    """
    if options.get("corrections") == "never":
        del options["corrections"]
        variant = "core" if variant == "default" else variant
    if options.pop("wavelet", "shannon") == "morlet":
        cycles = options.pop("n_cycles", 7.0)
        options["bands"] = Morlet(options.pop("bands", None), n_cycles=cycles)
    if direction == "both":
        alignment = {k: options.pop(k) for k in ("alignment",) if k in options}
        ways = [
            _one_way(cls, MODELS[variant, inverse], dict(options), lenient=True)
            for cls, inverse in ((SambaTranslator, False), (InverseTranslator, True))
        ]
        return LatentTranslator(*ways, **alignment)
    inverse = direction == "hemo_to_ele"
    cls = InverseTranslator if inverse else SambaTranslator
    return _one_way(cls, MODELS[variant, inverse], options)


def _one_way(cls, model, options: dict, lenient: bool = False):
    if options.pop("core", None) == "quick":
        options = quick(model).get_params() | options
    parts = {"model": _take(options, model), "reader": _take(options, Reader)}
    parts["trainer"] = _take(options, Trainer)
    if parts["model"] is None:
        parts["model"] = model()
    own = names_of(cls)
    if lenient:
        options = {name: value for name, value in options.items() if name in own}
    return cls(**{name: part for name, part in parts.items() if part is not None}, **options)


def windows(raw, bold, **options):
    """Windows whose reader has what is asked for."""
    return make_windows(raw, bold, reader=_take(options, Reader), **options)
