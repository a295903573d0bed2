"""Joint diagonalisation against planted mixtures and against Pham's own algorithm."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba.unmixing import joint_diagonalizer


def _mixtures(n=6, n_matrices=80, dof=200, seed=0):
    """Sample covariances of mixed sources whose power changes, and the mixing."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n, n))
    size = np.exp(0.7 * rng.standard_normal((n_matrices, n, 1)))
    signal = mixing @ (size * rng.standard_normal((n_matrices, n, dof)))
    return signal @ signal.swapaxes(1, 2) / dof, mixing


def _pham(matrices, n_sweeps=30):
    """Algorithm of Pham (2001): rows are changed in pairs, in closed form."""
    matrices, n = matrices.copy(), matrices.shape[1]
    basis = np.eye(n)
    for _ in range(n_sweeps):
        for i in range(1, n):
            for j in range(i):
                a, b, c = matrices[:, i, i], matrices[:, j, j], matrices[:, i, j]
                g12, g21 = np.mean(c / a), np.mean(c / b)
                w21, w12 = np.mean(a / b), np.mean(b / a)
                w = np.sqrt(w12 * w21)
                scale = np.sqrt(w21 / w12)
                half = (scale * g12 + g21) / (w + 1)
                rest = (scale * g12 - g21) / max(w - 1, 1e-9)
                h12, h21 = half + rest, np.conj((half - rest) / scale)
                turn = 1 + 0.5j * np.imag(h12 * h21)
                turn = np.real(turn + np.sqrt(turn**2 - h12 * h21))
                step = np.eye(n)
                step[[i, j], [j, i]] = -h12 / turn, -h21 / turn
                matrices = step @ matrices @ step.T
                basis = step @ basis
    return basis


def _criterion(matrices, basis):
    turned = basis @ matrices @ basis.T
    diagonal = np.log(np.diagonal(turned, axis1=1, axis2=2)).sum(axis=1)
    return np.mean(diagonal - np.linalg.slogdet(turned)[1])


def test_finds_the_planted_mixing():
    matrices, mixing = _mixtures(dof=5000)
    found = np.abs(joint_diagonalizer(matrices) @ mixing)
    found /= found.max(axis=1, keepdims=True)
    assert sorted(found.argmax(axis=1)) == list(range(6))
    assert np.sort(found, axis=1)[:, -2].max() < 0.05


def test_equals_the_algorithm_of_pham():
    matrices, _ = _mixtures()
    ours, pham = joint_diagonalizer(matrices, tol=1e-9), _pham(matrices)
    assert_allclose(_criterion(matrices, ours), _criterion(matrices, pham), rtol=1e-6)
    between = np.abs(ours @ np.linalg.inv(pham))
    assert_allclose(np.sort(between / between.max(axis=1, keepdims=True))[:, :-1], 0, atol=1e-4)


def test_two_matrices_are_diagonalised_exactly():
    matrices, _ = _mixtures(n_matrices=2)
    turned = (basis := joint_diagonalizer(matrices, tol=1e-10)) @ matrices @ basis.T
    size = np.sqrt(np.diagonal(turned, axis1=1, axis2=2))
    assert_allclose(turned / size[:, :, None] / size[:, None, :], [np.eye(6)] * 2, atol=1e-7)


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_neither_scale_of_a_matrix_nor_of_channels_matters(factor):
    matrices, _ = _mixtures()
    scaled = matrices * np.geomspace(1, factor, len(matrices))[:, None, None]
    rows = np.diag(np.geomspace(1, 1e3, 6))
    plain = joint_diagonalizer(matrices, tol=1e-9)
    other = joint_diagonalizer(rows @ scaled @ rows, tol=1e-9) @ rows
    between = np.abs(other @ np.linalg.inv(plain))
    assert_allclose(np.sort(between / between.max(axis=1, keepdims=True))[:, :-1], 0, atol=1e-5)


def test_matrices_of_weight_zero_do_not_count():
    matrices, _ = _mixtures()
    other, _ = _mixtures(seed=1)
    weights = np.repeat([1.0, 0.0], len(matrices))
    both = joint_diagonalizer(np.concatenate([matrices, other]), weights=weights, tol=1e-9)
    alone = joint_diagonalizer(matrices, tol=1e-9)
    assert_allclose(both, alone, rtol=1e-6, atol=1e-6)


def test_many_components_are_told_apart_by_steps_on_parts_of_the_matrices():
    matrices, mixing = _mixtures(n=60, n_matrices=400)
    basis = joint_diagonalizer(matrices)
    found = np.abs(basis @ mixing)
    found /= found.max(axis=1, keepdims=True)
    assert sorted(found.argmax(axis=1)) == list(range(60))
    alone = joint_diagonalizer(matrices, start=np.linalg.inv(mixing))
    assert_allclose(_criterion(matrices, basis), _criterion(matrices, alone), rtol=1e-6)
    np.testing.assert_array_equal(joint_diagonalizer(matrices), basis)
