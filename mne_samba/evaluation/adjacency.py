"""Which targets are neighbours, and clusters of them."""

import numpy as np
from nilearn.image import load_img
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def parcel_adjacency(atlas) -> sparse.csr_array:
    """Find neighbouring parcels of a label image, in a volume or on a surface.

    Parameters
    ----------
    atlas : Niimg-like | nilearn.surface.SurfaceImage
        Label image (3-D, or one label per vertex); 0 is background.

    Returns
    -------
    adjacency : csr_array of shape (n_parcels, n_parcels)
        1 where two parcels touch: voxels that share a face, or lie on both sides of one voxel of
        background; vertices that share an edge. In the order of labels, as maskers have them.

    Raises
    ------
    ValueError
        If the image is no label image.

    Notes
    -----
    For single vertices of a source space take :func:`mne.spatial_src_adjacency`, for channels
    :func:`mne.channels.find_ch_adjacency`, for channels and bands
    :func:`mne.stats.combine_adjacency`.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> labels = np.arange(3, dtype="int16").reshape(3, 1, 1).repeat(2, axis=1)
    >>> parcel_adjacency(nibabel.Nifti1Image(labels, np.eye(4))).toarray()
    array([[1., 1.],
           [1., 1.]])
    """
    parts, names = labels_of(atlas)
    pairs = []
    for part, labels in parts.items():
        if hasattr(atlas, "mesh"):
            faces = atlas.mesh.parts[part].faces
            pairs += [labels[faces[:, edge]] for edge in ([0, 1], [1, 2], [2, 0])]
            continue
        for axis in range(3):
            line = np.moveaxis(labels, axis, 0)
            pairs.append(np.stack([line[:-1].ravel(), line[1:].ravel()], axis=1))
            across = line[1:-1] == 0
            pairs.append(np.stack([line[:-2][across], line[2:][across]], axis=1))
    pairs = np.concatenate(pairs)
    pairs = np.searchsorted(names, np.unique(pairs[(pairs != 0).all(axis=1)], axis=0))
    pairs = np.concatenate([pairs, pairs[:, ::-1], np.arange(len(names))[:, None].repeat(2, 1)])
    near = sparse.csr_array((np.ones(len(pairs)), pairs.T), shape=(len(names),) * 2)
    near.data[:] = 1.0
    return near


def labels_of(atlas) -> tuple[dict, np.ndarray]:
    """Labels of a label image by part ("volume", or hemispheres), and all of them in order."""
    if hasattr(atlas, "mesh"):
        parts = {side: np.asarray(data).reshape(len(data), -1)[:, 0]
                 for side, data in atlas.data.parts.items()}  # fmt: skip
    else:
        parts = {"volume": np.squeeze(load_img(atlas).get_fdata())}
        if parts["volume"].ndim != 3:
            raise ValueError(f"A label image is 3-D, this one has shape {parts['volume'].shape}.")
    parts = {side: np.nan_to_num(labels) for side, labels in parts.items()}
    if any((labels != np.round(labels)).any() or (labels < 0).any() for labels in parts.values()):
        raise ValueError("A label image holds whole numbers, one per parcel: this one does not.")
    parts = {side: labels.astype(int) for side, labels in parts.items()}
    names = np.unique(np.concatenate([labels.ravel() for labels in parts.values()]))
    names = names[names != 0]
    if not len(names):
        raise ValueError("The label image holds nothing but background (0).")
    return parts, names


def edges_of(adjacency, n_targets: int) -> np.ndarray:
    """Pairs of neighbours (n_edges, 2) of an adjacency matrix."""
    shape = np.shape(adjacency)
    if shape != (n_targets, n_targets):
        raise ValueError(
            f"adjacency must be a matrix of {n_targets} x {n_targets} targets, got shape {shape}. "
            "parcel_adjacency makes one of a label image; its rows are the targets in order."
        )
    try:
        matrix = sparse.coo_array(adjacency).astype(float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"adjacency must hold numbers: {error}") from None
    if not np.isfinite(matrix.data).all():
        raise ValueError("adjacency has NaN or infinite values: 0 where targets are no neighbours.")
    linked = (matrix.data != 0) & (matrix.row != matrix.col)
    pairs = np.stack([matrix.row[linked], matrix.col[linked]], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def components(mask: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Give clusters of neighbours in a mask (n_draws, n_targets) a number each."""
    if not mask.size:
        return np.zeros(mask.shape, int)
    draws, edge = np.nonzero(mask[:, edges[:, 0]] & mask[:, edges[:, 1]])
    ends = draws[:, np.newaxis] * mask.shape[1] + edges[edge]
    graph = sparse.coo_array((np.ones(len(ends), bool), ends.T), shape=(mask.size, mask.size))
    return connected_components(graph, directed=False)[1].reshape(mask.shape)


def cluster_mass(t: np.ndarray, edges: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Sum of t over the cluster of each target (n_draws, n_targets), 0 below the threshold."""
    mask = t > threshold
    label = components(mask, edges)
    return np.where(mask, np.bincount(label.ravel(), np.where(mask, t, 0.0).ravel())[label], 0.0)


def tfce(t: np.ndarray, edges: np.ndarray, step: float = 0.2) -> np.ndarray:
    """Threshold-free cluster enhancement (Smith and Nichols 2009) of t (n_draws, n_targets)."""
    # Where scores have no spread, t has no end.
    t, enhanced = np.minimum(t, 100.0), np.zeros_like(t)
    for height in np.arange(step, t.max(initial=0.0), step):
        mask = t > height
        label = components(mask, edges)
        extent = np.bincount(label.ravel(), mask.ravel())[label]
        enhanced += np.where(mask, np.sqrt(extent) * height**2 * step, 0.0)
    return enhanced
