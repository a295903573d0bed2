"""LaBraM's weights in NeuroBOLT's network, beside the forward pass that they were trained in."""

import warnings

import mne
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file
from sklearn.base import clone

from mne_samba import NeuroBOLTModel, Reader, SambaTranslator, Trainer, read_samba
from mne_samba.models.labram import ELECTRODES, electrode_rows, read_labram, start_from_labram
from mne_samba.nn.neurobolt import PatchTransformer

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from braindecode.models.labram import LABRAM_CHANNEL_ORDER, Labram
    WHY = ""
except (ImportError, OSError) as error:  # OSError: a torchaudio that is built for another torch
    WHY = f"braindecode does not load here: {error!s:.80}"

BASE = {"depth": 12, "n_embed": 200, "n_heads": 10, "window": 16}
SMALL = {"depth": 2, "n_embed": 100, "n_heads": 5, "window": 4}
NAMES = ["Fp1", "CZ", "T3", "O2"]


def weights(sizes, *, seconds=16, pooled=True, seed=0):
    """Tensors under the names that braindecode documents, no two alike."""
    n, wide, filters = sizes["n_embed"], 4 * sizes["n_embed"], sizes["n_embed"] // 25
    shapes = {
        "cls_token": (1, 1, n), "position_embedding": (1, 129, n),
        "temporal_embedding": (1, seconds, n), "final_layer.weight": (2, n),
    }  # fmt: skip
    for i in (1, 2, 3):
        conv = "patch_embed.temporal_conv."
        shapes[f"{conv}conv{i}.weight"] = (
            (filters, 1, 1, 15) if i == 1 else (filters, filters, 1, 3)
        )
        for name in (f"conv{i}.bias", f"norm{i}.weight", f"norm{i}.bias"):
            shapes[conv + name] = (filters,)
    for i in range(sizes["depth"]):
        layers = {
            "attn.qkv.weight": (3 * n, n), "attn.proj.weight": (n, n), "mlp.0.weight": (wide, n),
            "mlp.2.weight": (n, wide), "mlp.0.bias": (wide,), "gamma_1": (n,), "gamma_2": (n,),
            "attn.proj.bias": (n,), "mlp.2.bias": (n,),
        }  # fmt: skip
        for norm in ("norm1", "norm2", "attn.q_norm", "attn.k_norm"):
            size = n // sizes["n_heads"] if "attn" in norm else n
            layers |= {f"{norm}.weight": (size,), f"{norm}.bias": (size,)}
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in layers.items()}
    norm = "fc_norm" if pooled else "norm"
    shapes |= {f"{norm}.weight": (n,), f"{norm}.bias": (n,)}
    random = torch.Generator().manual_seed(seed)
    return {name: 0.2 * torch.randn(shape, generator=random) for name, shape in shapes.items()}


def labram(state, epochs, rows, n_heads):
    """Mean of patch tokens, after its norm, from epochs (n_epochs, n_channels, n_times)."""
    x, n_channels = epochs.unflatten(2, (-1, 200)).flatten(1, 2)[:, None], epochs.shape[1]
    for i in (1, 2, 3):
        conv = {"stride": (1, 8), "padding": (0, 7)} if i == 1 else {"padding": (0, 1)}
        name = f"patch_embed.temporal_conv.conv{i}"
        x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **conv)
        name = name.replace("conv.conv", "conv.norm")
        x = F.gelu(F.group_norm(x, 4, state[f"{name}.weight"], state[f"{name}.bias"]))
    x = x.permute(0, 2, 3, 1).flatten(2)  # filters side by side at every time
    seconds = x.shape[1] // n_channels
    place = state["position_embedding"][0, 1 + torch.tensor(rows)].repeat_interleave(seconds, 0)
    x = x + place + state["temporal_embedding"][0, :seconds].repeat(n_channels, 1)
    first = state["cls_token"] + state["position_embedding"][:, :1]
    x = torch.cat([first.expand(len(x), -1, -1), x], dim=1)
    for i in range(1 + max(int(name.split(".")[1]) for name in state if "gamma_1" in name)):
        own = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items()}

        def norm(x, name, own=own):
            weight = own[f"{name}.weight"]
            return F.layer_norm(x, weight.shape, weight, own[f"{name}.bias"], 1e-6)

        def linear(x, name, own=own):
            return F.linear(x, own[f"{name}.weight"], own.get(f"{name}.bias"))

        qkv = linear(norm(x, "norm1"), "attn.qkv").unflatten(-1, (3, n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = norm(q, "attn.q_norm"), norm(k, "attn.k_norm")
        found = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(-1) @ v
        x = x + own["gamma_1"] * linear(found.transpose(1, 2).flatten(2), "attn.proj")
        found = linear(F.gelu(linear(norm(x, "norm2"), "mlp.0")), "mlp.2")
        x = x + own["gamma_2"] * found
    weight = state["fc_norm.weight"]
    return F.layer_norm(x[:, 1:].mean(1), weight.shape, weight, state["fc_norm.bias"], 1e-6)


def encoder(path, sizes, ch_names=NAMES):
    net = PatchTransformer(electrode_rows(ch_names), **sizes).eval()
    start_from_labram(net, read_labram(path, **sizes), path, ch_names)
    return net


@pytest.mark.parametrize("sizes", [BASE, SMALL], ids=["base", "small"])
def test_encoder_equals_labram_with_its_weights(sizes, tmp_path):
    state, path = weights(sizes), tmp_path / "labram.safetensors"
    save_file(state, path)
    epochs = torch.randn(2, 4, 200 * sizes["window"], generator=torch.Generator().manual_seed(1))
    rows = [ELECTRODES.index(name.casefold()) for name in NAMES]
    expected = labram(state, epochs, rows, sizes["n_heads"])
    with torch.no_grad():
        found = encoder(path, sizes)(epochs)
    assert expected.std() > 0.1
    assert_allclose(found, expected, atol=1e-5)


@pytest.mark.skipif(bool(WHY), reason=WHY)
@pytest.mark.filterwarnings("ignore:Labram chs_info")
def test_encoder_equals_braindecodes(tmp_path):
    assert [name.casefold() for name in LABRAM_CHANNEL_ORDER] == ELECTRODES
    torch.manual_seed(0)
    other = Labram(n_times=3200, n_chans=4, n_outputs=2, use_mean_pooling=True).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    other.reset_head(0)
    state, path = other.state_dict(), tmp_path / "labram.safetensors"
    save_file(state, path)
    documented = weights(BASE, seconds=17)  # braindecode adds a row that it does not use
    assert {k: v.shape for k, v in {**documented, **state}.items()} == {
        k: v.shape for k, v in documented.items()
    }
    epochs = torch.randn(2, 4, 3200)
    with torch.no_grad():
        expected = other(epochs, ch_names=NAMES)
        assert_allclose(encoder(path, BASE)(epochs), expected, atol=1e-5)
    assert_allclose(labram(state, epochs, electrode_rows(NAMES), 10), expected, atol=1e-5)


def recording(names, n_frames=60, sfreq=100.0):
    rng = np.random.default_rng(0)
    signal = 2e-5 * rng.standard_normal((len(names), int(2.0 * sfreq * n_frames)))
    info = mne.create_info(names, sfreq, "eeg")
    return mne.io.RawArray(signal, info, verbose="ERROR"), rng.standard_normal((n_frames, 2))


def translator(path, **model):
    """Network that moves little from where it starts."""
    sizes = {**SMALL, "spectrum_depth": 1, "n_spectrum_heads": 4} | model
    return SambaTranslator(
        t_r=2.0, model=NeuroBOLTModel(**sizes, weights=path), random_state=0,
        reader=Reader(detrend=None), verbose="INFO",
        trainer=Trainer(lr=1e-9, max_epochs=1, gap=4.0, window=20.0, device="cpu"),
    )  # fmt: skip


def test_a_fit_starts_from_the_file_and_its_model_needs_it_no_more(tmp_path):
    state, path = weights(SMALL), tmp_path / "labram.safetensors"
    save_file(state, path)
    raw, bold = recording(NAMES)
    with mne.utils.catch_logging() as log:
        model = translator(path).fit(raw, bold)
    assert "rows of 4 of 4 channels, 2 blocks, norm of the mean. At random: spectra, head." in (
        log.getvalue().replace("\n", " ")
    )
    own = model.net_.module_.temporal
    for mine, theirs in (
        (own.patches.second.weight, "patch_embed.temporal_conv.conv2.weight"),
        (own.place_embedding, "position_embedding"), (own.cls, "cls_token"),
        (own.blocks[1].k_norm.bias, "blocks.1.attn.k_norm.bias"),
        (own.blocks[1].mlp_scale, "blocks.1.gamma_2"), (own.norm.weight, "fc_norm.weight"),
    ):  # fmt: skip
        assert_allclose(mine.detach().cpu(), state[theirs], atol=1e-6)
    assert_allclose(own.time_embedding.detach(), state["temporal_embedding"][:, :4], atol=1e-6)
    model.save(tmp_path / "model.samba")
    path.unlink()
    again = read_samba(tmp_path / "model.samba")
    assert_array_equal(again.predict(raw), model.predict(raw))
    assert again.model.weights == str(path)
    with pytest.raises(FileNotFoundError, match="is no file, and none is downloaded"):
        clone(again).fit(raw, bold)


def test_what_begins_at_random_is_said(tmp_path):
    state, path = weights(SMALL, pooled=False), tmp_path / "labram.safetensors"
    save_file(state, path)
    raw, bold = recording(["Fp1", "E7", "A1", "E8"])
    with (
        mne.utils.catch_logging() as log,
        pytest.warns(RuntimeWarning, match=r"no electrodes E7, E8: their rows begin at random"),
    ):
        model = translator(path).fit(raw, bold)
    assert "rows of 2 of 4 channels, 2 blocks; norm of the mean as new" in log.getvalue()
    own = model.net_.module_.temporal
    assert_allclose(own.norm.weight.detach(), 1.0, atol=1e-6)
    same = (own.place_embedding[0] - state["position_embedding"][0]).abs().amax(1) < 1e-6
    # After the first token, E7 and E8 have the first two rows from A1 on that are free.
    assert (~same).nonzero().flatten().tolist() == [1 + 95, 1 + 96]
    assert own.place_embedding[0, [96, 97]].std() < 0.03


def renamed(state, old, new):
    return {name.replace(old, new): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "sizes", "message"),
    [
        (lambda s: renamed(s, "blocks", "layers"), {}, r"of 51 tensors 17 match\. Missing: blocks"),
        (lambda s: {k: v for k, v in s.items() if k != "cls_token"}, {}, "Missing: cls_token"),
        (lambda s: s | {"blocks.0.attn.q_bias": torch.zeros(2)}, {}, "Unknown: blocks.0.attn.q_b"),
        (
            lambda s: s | {"temporal_embedding": torch.zeros(16)}, {},
            r"temporal_embedding \(16,\), not \(1, 4, 100\)",
        ),
        (
            lambda s: s | {"cls_token": torch.full((1, 1, 100), torch.nan)}, {},
            r"of 51 tensors 51 match\. Not finite: cls_token\.",
        ),
        (lambda s: {k: v.to(torch.int64) for k, v in s.items()}, {}, "Not finite: cls_token, pos"),
        (None, {"depth": 1}, "Unknown: blocks.1.* LaBraM-base has depth=12"),
        (None, {"depth": 3}, "with depth=3, n_embed=100, .*: of 68 tensors 51 match. Missing"),
        (None, {"n_heads": 4}, r"q_norm.weight \(20,\), not \(25,\)"),
        (None, {"window": 20}, r"temporal_embedding \(1, 16, 100\), not \(1, 20, 100\)"),
        (None, {"n_embed": 200}, r"of 51 tensors 0 match\. Of another shape: cls_token"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused(change, sizes, message, tmp_path):
    state, path = weights(SMALL), tmp_path / "labram.safetensors"
    save_file(state if change is None else change(state), path)
    with pytest.raises(ValueError, match=message):
        translator(path, **sizes).fit(*recording(NAMES))


def test_what_is_no_file_of_tensors(tmp_path):
    pair = recording(NAMES)
    for name in ("braindecode/labram-pretrained", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"is no file, and none is downloaded\. F"):
            translator(name).fit(*pair)
    torch.save(weights(SMALL), tmp_path / "labram.pt")
    with pytest.raises(ValueError, match=r"no file of safetensors .*save_file"):
        translator(tmp_path / "labram.pt").fit(*pair)
    with pytest.raises(TypeError, match="weights must be the path of a file or None, got int"):
        translator(3).fit(*pair)
