"""LaBraM's pretrained weights: their names, their table of electrodes, and files of them."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from mne.utils import logger, warn
from safetensors import SafetensorError, safe_open

from .._checks import listed
from ..nn.neurobolt import PatchTransformer

# Rows of its table of electrodes, in order; in the file, the first token's row comes before them.
ELECTRODES = """
FP1 FPZ FP2 AF9 AF7 AF5 AF3 AF1 AFZ AF2 AF4 AF6 AF8 AF10 F9 F7 F5 F3 F1 FZ F2 F4 F6 F8 F10 FT9
FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 FT10 T9 T7 C5 C3 C1 CZ C2 C4 C6 T8 T10 TP9 TP7 CP5 CP3 CP1
CPZ CP2 CP4 CP6 TP8 TP10 P9 P7 P5 P3 P1 PZ P2 P4 P6 P8 P10 PO9 PO7 PO5 PO3 PO1 POZ PO2 PO4 PO6
PO8 PO10 O1 OZ O2 O9 CB1 CB2 IZ O10 T3 T5 T4 T6 M1 M2 A1 A2 CFC1 CFC2 CFC3 CFC4 CFC5 CFC6 CFC7
CFC8 CCP1 CCP2 CCP3 CCP4 CCP5 CCP6 CCP7 CCP8 T1 T2 FTT9h TTP7h TPP9h FTT10h TPP8h TPP10h FP1-F7
F7-T7 T7-P7 P7-O1 FP2-F8 F8-T8 T8-P8 P8-O2
""".casefold().split()
# From here on, few recordings have them.
_RARE = ELECTRODES.index("a1")
# Our names of layers, and of tensors that are no layer's -> braindecode's.
_NAMES = {
    "cls": "cls_token", "place_embedding": "position_embedding",
    "time_embedding": "temporal_embedding", "norm": "fc_norm",
    "patches.first": "patch_embed.temporal_conv.conv1",
    "patches.second": "patch_embed.temporal_conv.conv2",
    "patches.third": "patch_embed.temporal_conv.conv3",
    "patches.norms.0": "patch_embed.temporal_conv.norm1",
    "patches.norms.1": "patch_embed.temporal_conv.norm2",
    "patches.norms.2": "patch_embed.temporal_conv.norm3",
    "blocks.*.norm": "blocks.*.norm1", "blocks.*.qkv": "blocks.*.attn.qkv",
    "blocks.*.q_norm": "blocks.*.attn.q_norm", "blocks.*.k_norm": "blocks.*.attn.k_norm",
    "blocks.*.projection": "blocks.*.attn.proj", "blocks.*.scale": "blocks.*.gamma_1",
    "blocks.*.mlp_norm": "blocks.*.norm2", "blocks.*.mlp.0": "blocks.*.mlp.0",
    "blocks.*.mlp.2": "blocks.*.mlp.2", "blocks.*.mlp_scale": "blocks.*.gamma_2",
}  # fmt: skip
# Not taken over: the classifier, and a norm of every token where ours is one of their mean.
_LEFT = ("final_layer.", "norm.")
_FETCH = (
    "Fetch the weights of braindecode's Labram once (hf download braindecode/labram-pretrained "
    "model.safetensors --local-dir labram) and give the path of that file."
)


def electrode_rows(ch_names: list[str]) -> list[int]:
    """Rows of channels in the table of electrodes, by name; others take free, rare ones."""
    row = {name: i for i, name in enumerate(ELECTRODES)}
    rows = [row.get(name.casefold()) for name in ch_names]
    order = [*range(_RARE, len(row)), *range(_RARE)]
    free = iter([i for i in order if i not in rows])
    return [next(free) if i is None else i for i in rows]


def read_labram(path, **sizes: int) -> dict[str, torch.Tensor]:
    """Read tensors by their names in a `PatchTransformer` of these ``sizes``: all, or none."""
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"weights={path!s} is no file, and none is downloaded. {_FETCH}")
    try:
        with safe_open(Path(path).expanduser(), "pt") as file:
            given = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"weights={path!s} is no file of safetensors ({error}). {_FETCH} To write one of a "
            "module: safetensors.torch.save_file(labram.state_dict(), path)."
        ) from None
    with torch.device("meta"):
        own = PatchTransformer([], **sizes).state_dict()
    names = {name: _name_of(name) for name in own}
    if "fc_norm.weight" not in given:  # it was pretrained without a norm of the mean
        names = {name: other for name, other in names.items() if not other.startswith("fc_norm.")}
    found = {name: given[other] for name, other in names.items() if other in given}
    seconds = found.get("time_embedding")
    if seconds is not None and seconds.ndim == 3:  # of a longer window, its first
        found["time_embedding"] = seconds[:, : sizes["window"]]
    problems = {
        "Missing": [names[name] for name in names if name not in found],
        "Of another shape": [
            f"{names[name]} {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            for name, tensor in found.items()
            if tensor.shape != own[name].shape
        ],
        "Not finite": [
            names[name]
            for name, tensor in found.items()
            if not (tensor.is_floating_point() and tensor.isfinite().all())
        ],
        "Unknown": [
            name for name in given if name not in names.values() and not name.startswith(_LEFT)
        ],
    }
    if any(problems.values()):
        asked = ", ".join(f"{name}={size}" for name, size in sizes.items())
        told = [f"{what}: {listed(some, 4)}." for what, some in problems.items() if some]
        raise ValueError(
            f"weights={path!s} are not those of braindecode's Labram with {asked}: of "
            f"{len(names)} tensors {len(found) - len(problems['Of another shape'])} match. "
            f"{' '.join(told)} LaBraM-base has depth=12, n_embed=200, n_heads=10 and up to 16 "
            "seconds of window."
        )
    return found


def _name_of(name: str) -> str:
    """Braindecode's name of a tensor of `PatchTransformer`."""
    any_block = re.sub(r"^blocks\.\d+", "blocks.*", name)
    layer, _, kind = any_block.rpartition(".")
    other = _NAMES.get(any_block) or f"{_NAMES[layer]}.{kind}"
    return other.replace("*", name.split(".")[1]) if "*" in other else other


def start_from_labram(net: PatchTransformer, found: dict, path, ch_names: list[str]) -> None:
    """Take over the tensors of `read_labram`, and say what is not of them."""
    others = [name for name in ch_names if name.casefold() not in ELECTRODES]
    rows = [1 + row for name, row in zip(ch_names, net.places, strict=True) if name in others]
    table = found["place_embedding"].to(net.place_embedding, copy=True)
    table[:, rows] = net.place_embedding[:, rows].detach()
    net.load_state_dict({**net.state_dict(), **found, "place_embedding": table})
    logger.info(
        f"{len(found)} tensors of LaBraM from {path!s}: patches, first token, seconds, rows of "
        f"{len(ch_names) - len(others)} of {len(ch_names)} channels, {len(net.blocks)} blocks"
        + (", norm of the mean. " if "norm.weight" in found else "; norm of the mean as new. ")
        + "At random: spectra, head."
    )
    if others:
        warn(
            f"LaBraM has no electrodes {listed(others, 4)}: their rows begin at random. Where they "
            "are electrodes of the 10-20 system, rename them (raw.rename_channels)."
        )
