import shutil

import pandas as pd
import pytest

pytest.importorskip("mne_bids")
pytest.importorskip("pybv")


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A BIDS folder of two simulated people. Shared: copy before changing."""
    from mne_samba.datasets._bids_tree import write_bids_tree

    return write_bids_tree(tmp_path_factory.mktemp("bids") / "ds", 2)


@pytest.fixture
def copy(tree, tmp_path):
    """A copy of that folder to break."""
    root = tmp_path / "ds"
    shutil.copytree(tree.root, root)
    return root


@pytest.fixture
def edit_events():
    """Change the table of events of the first person: ``edit_events(root, function)``."""

    def edit(root, change):
        path = root / "sub-01" / "eeg" / "sub-01_task-rest_run-01_events.tsv"
        table = change(pd.read_csv(path, sep="\t"))
        table.to_csv(path, sep="\t", index=False)

    return edit
