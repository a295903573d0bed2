"""Figures of groups: people lie where they score, and what passes is told apart."""

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

from mne_samba import viz
from mne_samba.evaluation import group_test

TARGETS = ["Visual_L1", "Visual_R1", "DefaultMode_L1", "Reward_R1"]


@pytest.fixture(scope="module")
def group():
    r = 0.05 * np.random.default_rng(0).standard_normal((9, 4)) + [0.3, 0.2, 0.0, -0.05]
    return group_test(pd.DataFrame(r, [f"sub-{i}" for i in range(9)], TARGETS))


def test_people_lie_where_they_score(group):
    fig = viz.plot_group_people(group, title="People", show=False)
    people, targets = fig.axes
    dots = [line for line in people.lines if line.get_marker() == "o"]
    drawn = np.sort(np.concatenate([line.get_xdata() for line in dots]))
    np.testing.assert_allclose(drawn, np.sort(group.people_["r"]))
    names = [label.get_text() for label in people.get_yticklabels()]
    assert names == list(group.people_["r"].sort_values(ascending=False).index)
    means = {line.get_xdata()[0]: line.get_color() for line in targets.lines
             if line.get_marker() == "D" and len(line.get_xdata())}  # fmt: skip
    for target, row in group.targets_.iterrows():
        assert means[row["r"]] == ("k" if target in group.passing else "0.6")
    assert len(targets.collections) == 4
    few = viz.plot_group_people(group, targets=["Reward_R1"], show=False)
    assert len(few.axes[1].collections) == 1
    with pytest.raises(ValueError, match="Unknown targets"):
        viz.plot_group_people(group, targets=["V9"], show=False)


def test_who_is_above_chance_and_who_decides():
    group = group_test([[0.1], [0.2], [0.15], [0.1], [0.3]])
    group.people_["p"] = [0.01, 0.2, 0.01, 0.01, np.nan]
    fig = viz.plot_group_people(group, show=False)
    words = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert words[1:] == ["own p ≤ .05", "own p > .05", "no null of their own",
                         "verdict hangs on them"]  # fmt: skip


def test_maps_of_places_volumes_and_surfaces(group, coords):
    fig = viz.plot_group_map(group, coords, title="Places", show=False)
    assert fig.get_suptitle() == "Places"
    labels = np.repeat(np.array([2, 3, 5, 9], "int16"), 25).reshape(4, 5, 5)
    atlas = nibabel.Nifti1Image(labels, np.diag([9.0, 9, 9, 1]))
    fig = viz.plot_group_map(group, atlas, show=False)
    bar = fig.axes[-1]
    limit = group.targets_["r"].abs().max()
    np.testing.assert_allclose(bar.get_ylim(), [-limit, limit])
    points = np.random.default_rng(0).standard_normal((6, 3)).astype("float32")
    mesh = PolyMesh(left=InMemoryMesh(points, np.array([[0, 1, 2], [1, 2, 3], [3, 4, 5]])))
    image = SurfaceImage(mesh, {"left": np.array([1, 2, 3, 4, 0, 1])})
    fig = viz.plot_group_map(group, image, show=False)
    assert [axis.get_title() for axis in fig.axes[:2]] == ["left, lateral", "left, medial"]
    with pytest.raises(ValueError, match="holds 3 labels, the group has 4"):
        three = np.where(labels == 9, 5, labels).astype("int16")
        viz.plot_group_map(group, nibabel.Nifti1Image(three, np.eye(4)), show=False)
    with pytest.raises(ValueError, match="axes must be None"):
        viz.plot_group_map(group, atlas, axes=fig.axes[0], show=False)
    with pytest.raises(ValueError, match="coords must be"):
        viz.plot_group_map(group, coords[:2], show=False)
