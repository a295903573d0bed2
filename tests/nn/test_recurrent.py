"""Recurrent decoders: causal, of fixed width, silent at the start."""

import pytest
import torch

from mne_samba.nn.recurrent import RECURRENT, RecurrentCorrection


def decoder(kind, n_targets=6, gate=1.0):
    torch.manual_seed(0)
    part = RecurrentCorrection(n_targets, kind, n_hidden=16)
    with torch.no_grad():
        part.gate.fill_(gate)
    return part.eval()


@pytest.mark.parametrize("kind", RECURRENT)
def test_later_frames_do_not_reach_earlier_ones(kind):
    part = decoder(kind)
    frames = torch.randn(2, 12, 6)
    base = part(frames)
    changed = frames.clone()
    changed[:, 7] += 3.0
    moved = (part(changed) - base).abs().amax(dim=(0, 2))
    # Sums in another order may differ by rounding, never by more.
    assert moved[:7].max() < 1e-6
    assert (moved[7:] > 1e-4).all()


@pytest.mark.parametrize("kind", RECURRENT)
def test_windows_do_not_reach_each_other(kind):
    part = decoder(kind)
    frames = torch.randn(3, 10, 6)
    torch.testing.assert_close(part(frames)[1:2], part(frames[1:2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_shut_gate_adds_nothing(kind):
    part = decoder(kind, gate=0.0)
    out = part(torch.randn(2, 9, 6))
    assert out.shape == (2, 9, 6) and (out == 0).all()


@pytest.mark.parametrize("kind", RECURRENT)
def test_every_parameter_gets_a_gradient(kind):
    part = decoder(kind).train()
    part(torch.randn(2, 9, 6)).square().sum().backward()
    silent = [n for n, p in part.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize("kind", RECURRENT)
def test_width_does_not_depend_on_the_number_of_targets(kind):
    few, many = decoder(kind, 2), decoder(kind, 400)
    sizes = [{n: p.shape for n, p in part.cell.named_parameters()} for part in (few, many)]
    assert sizes[0] == sizes[1]
    assert few.hidden(torch.randn(1, 5, 2)).shape == (1, 5, 16)
    assert many.hidden(torch.randn(1, 5, 400)).shape == (1, 5, 16)


@pytest.mark.parametrize("kind", RECURRENT)
def test_training_mode_is_as_deterministic_as_evaluation(kind):
    part = decoder(kind)
    frames = torch.randn(2, 9, 6)
    out = part(frames)
    torch.testing.assert_close(part.train()(frames), out, rtol=1e-5, atol=1e-6)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"recurrent must be one of .*'lstm'.* got 'rnn'"):
        RecurrentCorrection(4, "rnn")
