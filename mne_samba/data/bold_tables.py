"""What BOLD is given as: names of its regions; files and images that are tables are read."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from mne.utils import warn

from .._checks import first_of
from .fnirs import fnirs_frames, is_fnirs

_MASKED = "time courses of regions are expected: masker.fit_transform(image) of a nilearn masker"
_SHAPE = "gives BOLD of shape (n_frames, n_targets). mne_samba.io.read_bids_pair does this for BIDS"
_PARCELS = (
    "mne_samba.io.GrayordinatesMasker(atlas).fit_transform(image), of both hemispheres where it is "
    "GIFTI,"
)


def as_table(item, name: str, t_r: float | None = None):
    """Read a file, a CIFTI ptseries or fNIRS (averaged to ``t_r``); refuse others by what to do."""
    if isinstance(item, (str, os.PathLike)):
        return _from_file(Path(item), name)
    if is_fnirs(item):
        return fnirs_frames(item, t_r, name=name)
    kind = type(item)
    if kind.__module__.startswith("nibabel"):
        if kind.__name__ == "Cifti2Image":
            return _parcels(item, name)
        line = _PARCELS if kind.__name__ == "GiftiImage" else _MASKED
        raise TypeError(f"{name} is a {kind.__name__}, but {line} {_SHAPE}.")
    if isinstance(item, np.ndarray) and item.ndim == 4:
        raise ValueError(f"{name} has shape {item.shape}, as an image has, but {_MASKED}.")
    return item


def as_tables(y, name: str, t_r=None):
    """Read BOLD of several recordings, or of one, as `as_table` does."""
    if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1:
        y = list(y)
    if isinstance(y, (list, tuple)):
        t_rs = t_r if np.ndim(t_r) and len(t_r) == len(y) else [t_r] * len(y)
        return [as_table(x, f"{name}[{i}]", t_rs[i]) for i, x in enumerate(y)]
    return as_table(y, name, t_r)


def _from_file(path: Path, name: str) -> pd.DataFrame:
    """Read a table whose first line names the regions: (n_frames, n_targets)."""
    if path.name.endswith((".ptseries.nii", ".dtseries.nii")):
        return _parcels(_there(path, name), name)
    if path.name.endswith(".gii"):
        raise TypeError(f"{name} is a path of a surface, but {_PARCELS} {_SHAPE}.")
    if path.suffix not in (".csv", ".tsv"):
        raise TypeError(
            f"{name} is a path, {os.fspath(path)!r}. Tables (.csv, .tsv) whose first line names "
            "the regions are read, and CIFTI parcels (.ptseries.nii); np.load(path) reads .npy, "
            "np.loadtxt(path) plain numbers, pd.read_csv(path) other tables; of an image, "
            f"{_MASKED}, which takes the path too."
        )
    try:
        with _there(path, name).open(encoding="utf-8-sig") as file:
            first = file.readline()
    except UnicodeDecodeError:
        raise ValueError(
            f"{name}: {path} is no text in UTF-8. Pass pd.read_csv(path, encoding=...), such as "
            "'utf-16' (Excel's Unicode text) or 'latin-1'."
        ) from None
    sep = "\t" if path.suffix == ".tsv" or "\t" in first else ";" if ";" in first else ","
    header = [cell.strip().strip('"') for cell in first.split(sep)]
    if all(_is_number(cell) for cell in header):
        raise ValueError(
            f"{name}: the first line of {path} holds numbers, not names of regions. If these are "
            f"the first frame, pass pd.read_csv(path, sep={sep!r}, header=None)."
        )
    twice = sorted({cell for cell in header if header.count(cell) > 1})
    if twice:
        raise ValueError(
            f"{name}: the first line of {path} has {twice[:8]} more than once: names of regions "
            "must differ."
        )
    table = pd.read_csv(path, sep=sep, encoding="utf-8-sig")
    if not header[0]:
        table = table.set_index(table.columns[0])
        if pd.api.types.is_string_dtype(table.index.dtype):
            raise ValueError(
                f"{name}: the first column of {path} holds names, {list(table.index[:4])}. If "
                "these are regions, one in each row, pass pd.read_csv(path, index_col=0"
                f"{'' if sep == ',' else f', sep={sep!r}'}).T."
            )
        if not np.array_equal(table.index, np.arange(len(table))):
            raise ValueError(
                f"{name}: the first column of {path}, an index without a name, does not count 0, "
                "1, 2, ... If rows were removed, pass table = pd.read_csv(path, index_col=0"
                f"{'' if sep == ',' else f', sep={sep!r}'}) and, to make_windows, "
                "sample_mask=table.index."
            )
    text = [str(column) for column in table.select_dtypes(exclude="number").columns]
    if text:
        comma = sep == ";" and pd.read_csv(path, sep=sep, decimal=",", nrows=20)[text]
        if sep == ";" and len(comma.select_dtypes("number").columns) == len(text):
            raise TypeError(
                f"{name}: numbers in {path} have a decimal comma: pass pd.read_csv(path, sep=';', "
                "decimal=',')."
            )
        wrong = "comment='#'" if first.startswith("#") else "sep=r'\\s+'" if len(header) < 2 else ""
        raise TypeError(
            f"{name}: columns {text[:8]} of {path} hold text: "
            + (f"pass pd.read_csv(path, {wrong})." if wrong else "leave them out.")
        )
    return table


def _there(path: Path, name: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{name} is a path, but there is no file {os.fspath(path)!r}.")
    return path


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parcels(item, name: str) -> pd.DataFrame:
    """Time courses of a CIFTI ptseries, an image or a file."""
    from .grayordinates import GrayordinatesMasker, read_series  # loads nibabel

    return GrayordinatesMasker().fit_transform(read_series(item, name))


def check_told_t_r(told: list[float | None], t_r, name: str) -> None:
    """Refuse BOLD that says another time between frames itself."""
    for own, given in zip(told, np.broadcast_to(t_r, len(told)), strict=True):
        if own is not None and abs(own / given - 1) > 1e-3:
            raise ValueError(
                f"{name} says that its frames are {own:g} s apart, but t_r={given:g} s: pass "
                f"t_r={own:g}."
            )


def told_t_r(y) -> list[float | None]:
    """Seconds between frames of every recording, where BOLD says it (``attrs["t_r"]``)."""
    items = y if isinstance(y, (list, tuple)) else [y]
    told = [x.attrs.get("t_r") if isinstance(x, pd.DataFrame) else None for x in items]
    return [None if t_r is None else float(t_r) for t_r in told]


def _index_of(item) -> np.ndarray | None:
    """Numbers (n_frames,) by which a DataFrame or DataArray counts its frames, in s or volumes."""
    if isinstance(item, pd.DataFrame):
        index = np.asarray(item.index)
    elif hasattr(item, "dims") and hasattr(item, "coords") and item.dims[-2:][0] in item.coords:
        index = np.asarray(item.coords[item.dims[-2:][0]])
    else:
        return None
    if index.dtype.kind in "mM" and len(index):
        return (index - index[0]) / np.timedelta64(1, "s")
    return index.astype(float) if index.dtype.kind in "iuf" else None


def check_index(y, name: str, t_r=None) -> None:
    """Refuse BOLD whose own index says that rows were removed or joined, or that t_r is another."""
    several = isinstance(y, (list, tuple))
    for i, item in enumerate(y if several else [y]):
        index, called = _index_of(item), f"{name}[{i}]" if several else name
        gaps = np.diff(index) if index is not None else np.empty(0)
        forth = gaps[gaps > 0]
        if len(gaps) < 2 or len(forth) < 0.5 * len(gaps):
            continue
        gap = float(np.median(forth))
        if (gaps < 0).any() and np.ptp(forth) <= 0.01 * gap:
            row = int(np.argmax(gaps < 0)) + 1
            raise ValueError(
                f"The index of {called} goes back from {index[row - 1]:g} to {index[row]:g} at row "
                f"{row}: are these several runs? Time does not go on from one to the next: pass "
                "lists, one recording and its own BOLD each. If it is one scan, reset the index."
            )
        if (gaps <= 0).any():
            continue
        if np.ptp(gaps) > 0.01 * gap:
            row = int(np.argmax(gaps)) + 1
            mask = "index" if gap == 1 else f"np.rint(index / {gap:g}).astype(int)"
            if isinstance(item, pd.DataFrame) and item.index.dtype.kind in "mM":
                milliseconds = f"np.timedelta64({round(1e3 * gap)}, 'ms')"
                mask = f"np.rint((index - index[0]) / {milliseconds}).astype(int)"
            raise ValueError(
                f"The index of {called} jumps from {index[row - 1]:g} to {index[row]:g} at row "
                f"{row}: rows were removed. If they were scrubbed and the index counts from the "
                f"first volume, pass sample_mask={mask} to make_windows or "
                "windows.restore_frames, which puts them back; if BOLD is whole, reset the index."
            )
        own = t_r[i] if np.ndim(t_r) else t_r
        if own is not None and not np.isclose(gap, [1.0, own, 1e3 * own], rtol=1e-3).any():
            raise ValueError(
                f"The index of {called} goes on by {gap:g} from frame to frame, but t_r={own:g} "
                f"s: pass t_r={gap:g}, or reset the index if it is no time in seconds."
            )


def region_names(item) -> list[str] | None:
    """Names that a DataFrame or an xarray.DataArray gives its regions, the last axis."""
    if isinstance(item, pd.DataFrame):
        return [str(column) for column in item.columns]
    if not (hasattr(item, "dims") and hasattr(item, "coords")):
        return None
    last = item.dims[-1]
    along = [coord for coord in item.coords.values() if coord.dims == (last,)]
    # Names stand beside an axis of numbers where both are there.
    along.sort(key=lambda coord: np.asarray(coord).dtype.kind not in "UOT")
    return [str(value) for value in np.asarray(along[0])] if along else None


def check_dims(item, name: str) -> None:
    """Refuse a DataArray whose dimensions are named and in another order."""
    dims = tuple(getattr(item, "dims", ())) if hasattr(item, "coords") else ()
    if "time" in dims and dims.index("time") != len(dims) - 2:
        order = [d for d in dims if d != "time"]
        order.insert(len(order) - 1, "time")
        raise ValueError(
            f"{name} has dimensions {dims}, but time comes before regions: pass "
            f"{name}.transpose({', '.join(map(repr, order))})."
        )


def names_of(y, n_targets: int) -> tuple[list[str], bool]:
    """Names of regions, and whether BOLD itself gives them."""
    first = first_of(y)
    names = region_names(first)
    if names is None:
        return [f"target{i:03d}" for i in range(n_targets)], False
    twice = sorted(set(pd.Index(names)[pd.Index(names).duplicated()]))
    if twice:
        raise ValueError(f"Region names must differ, got {twice[:8]} more than once.")
    if isinstance(first, pd.DataFrame):
        _warn_of_counters(first)
    return names, True


def _warn_of_counters(table: pd.DataFrame) -> None:
    """Warn of columns that only count or tell the time, as an index that was written to a file."""
    values = table.select_dtypes("number")
    steps = np.diff(values.to_numpy(dtype=float), axis=0)
    if len(steps) < 3:
        return
    whole = np.array([kind.kind in "iu" for kind in values.dtypes])
    alike = np.abs(steps - steps[:1]) <= 1e-6 * np.abs(steps[:1])
    counts = (steps > 0).all(axis=0) & (whole | alike.all(axis=0))
    found = [str(name) for name in values.columns[counts]]
    if 0 < len(found) < table.shape[1]:
        warn(
            f"Columns {found[:8]} of BOLD only count, as volumes or their times do: where they are "
            "the index of a CSV file, read it with index_col=0, or leave them out."
        )


def check_same_columns(y, name: str) -> None:
    """Refuse recordings whose tables name other regions, or the same in another order."""
    told = [(i, names) for i, item in enumerate(y) if (names := region_names(item)) is not None]
    for i, names in told[1:]:
        if names != told[0][1]:
            raise ValueError(
                f"{name}[{i}] has other region names than {name}[{told[0][0]}]: {names[:5]}..."
            )
