"""The centred cosine loss against its definition in plain numpy."""

import numpy as np
import pytest
import torch

from mne_samba.nn.loss import CenteredCosineLoss

N_WINDOWS, N_FRAMES, N_TARGETS = 6, 10, 4


def batch(seed=0):
    rng = np.random.default_rng(seed)
    pred = rng.standard_normal((N_WINDOWS, N_FRAMES, N_TARGETS))
    bold = rng.standard_normal(pred.shape) + 0.5 * pred
    bold[1, 3] = bold[4, 0] = np.nan
    return pred, bold, np.array([0, 0, 1, 1, 2, 0])


def loss(pred, bold, recording):
    pred = pred if torch.is_tensor(pred) else torch.as_tensor(pred)
    target = {"bold": torch.as_tensor(bold), "recording": torch.as_tensor(recording)}
    return CenteredCosineLoss()(pred, target)


def definition(pred, bold, recording):
    cosines = []
    for m in range(pred.shape[-1]):
        a, b = [], []
        for label in np.unique(recording):
            x = pred[recording == label, :, m].ravel()
            y = bold[recording == label, :, m].ravel()
            x, y = x[np.isfinite(y)], y[np.isfinite(y)]
            a.append(x - x.mean())
            b.append(y - y.mean())
        a, b = np.concatenate(a), np.concatenate(b)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return 1 - np.mean(cosines)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_definition(seed):
    given = batch(seed)
    assert float(loss(*given)) == pytest.approx(definition(*given), abs=1e-12)


def test_one_recording_is_one_minus_pearson():
    pred, bold, _ = batch()
    bold = np.nan_to_num(bold)
    r = [np.corrcoef(pred[..., m].ravel(), bold[..., m].ravel())[0, 1] for m in range(N_TARGETS)]
    value = loss(pred, bold, np.zeros(N_WINDOWS, int))
    assert float(value) == pytest.approx(1 - np.mean(r), abs=1e-12)


def test_ends_of_the_range():
    _, bold, recording = batch()
    pred = np.nan_to_num(bold)
    assert float(loss(pred, bold, recording)) == pytest.approx(0, abs=1e-12)
    assert float(loss(-pred, bold, recording)) == pytest.approx(2, abs=1e-12)


def test_offsets_of_recordings_and_the_scale_of_targets_do_not_matter():
    pred, bold, recording = batch()
    base = float(loss(pred, bold, recording))
    offset = np.array([5.0, -3.0, 100.0])[recording][:, None, None]
    scale = np.array([0.1, 1.0, 20.0, 3.0])
    assert float(loss(pred + offset, bold, recording)) == pytest.approx(base, abs=1e-10)
    assert float(loss(pred, bold - 2 * offset, recording)) == pytest.approx(base, abs=1e-10)
    assert float(loss(pred * scale, bold / scale, recording)) == pytest.approx(base, abs=1e-10)


def test_predictions_at_scrubbed_frames_do_not_matter():
    pred, bold, recording = batch()
    base = float(loss(pred, bold, recording))
    pred[1, 3], pred[4, 0] = 1e3, -1e3
    assert float(loss(pred, bold, recording)) == pytest.approx(base, abs=1e-12)


def test_labels_of_recordings_may_be_any_integers():
    pred, bold, recording = batch()
    other = np.array([70, -3, 12])[recording]
    assert float(loss(pred, bold, other)) == float(loss(pred, bold, recording))


@pytest.mark.parametrize("constant", ["bold", "pred", "scrubbed"])
def test_gradient_stays_finite_without_variance(constant):
    pred, bold, recording = batch()
    pred = torch.tensor(pred, requires_grad=True)
    if constant == "bold":
        bold[..., 2] = 7.0
    elif constant == "scrubbed":
        bold[recording == 1] = np.nan
    used = torch.zeros_like(pred) * pred if constant == "pred" else pred
    value = loss(used, bold, recording)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(pred.grad).all()
    if constant == "bold":
        assert (pred.grad[..., 2] == 0).all()
        assert pred.grad[..., :2].abs().max() > 0


def test_gradient_equals_finite_differences():
    pred, bold, recording = batch()
    pred = torch.tensor(pred, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: loss(x, bold, recording), pred)
