"""``mne_samba stream``: a saved translator follows a Lab Streaming Layer stream."""

import argparse
import csv
import os
import time
from collections import deque
from pathlib import Path

import numpy as np

from ._session import DEBUG, fail

# Regions that the terminal and the page show, seconds of the page, and between two of its drawings.
_N_SHOWN, _SHOWN_SECONDS, _REDRAWN = 6, 240.0, 4.0
# Eighths of a block from minus to plus two standard deviations.
_BARS = " ▁▂▃▄▅▆▇█"


def add_stream(commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "stream",
        help="predict BOLD while EEG is recorded (Lab Streaming Layer)",
        description=(
            "Predict BOLD from a Lab Streaming Layer stream with a translator that "
            "SambaTranslator.save wrote. Prints a line per frame; --out keeps all of them with "
            "intervals, --page draws them on a page that renews itself in a browser. Ends with the "
            "stream, after --duration or by Ctrl-C; what was predicted is kept."
        ),
    )
    parser.add_argument("model", type=Path, help="file that SambaTranslator.save wrote")
    parser.add_argument("--name", help="name of the stream (default: the only one there is)")
    parser.add_argument("--source-id", help="identifier of the stream's source")
    parser.add_argument("--t-r", type=float, help="seconds between frames (default: as in fit)")
    parser.add_argument("--duration", type=float, help="seconds after which it ends")
    parser.add_argument("--out", type=Path, metavar="TSV", help="table of frames and intervals")
    parser.add_argument("--page", type=Path, metavar="HTML", help="page of the last four minutes")
    parser.add_argument("--debug", action="store_true", help=DEBUG)


def run_stream(args: argparse.Namespace) -> int:
    """Follow the stream to its end."""
    try:
        from mne_lsl.stream import StreamLSL
    except ImportError:
        return fail(ImportError("streams need mne-lsl: pip install 'mne_samba[realtime]'"))
    from .. import SambaStream, predict_stream, read_samba

    source = StreamLSL(10.0, name=args.name, source_id=args.source_id)
    try:
        model = read_samba(args.model)
        stream = SambaStream(model, t_r=args.t_r)
        source.connect(processing_flags="all")
        _follow(predict_stream(stream, source, duration=args.duration), model, args)
    finally:
        if source.connected:
            source.disconnect()
    return 0


def _follow(frames, model, args) -> None:
    """Print, keep and draw `StreamedFrames` as they come."""
    shown, drawn, names = deque(), -np.inf, list(model.target_names_in_)
    print("seconds  " + "  ".join(f"{name:>14.14}" for name in names[:_N_SHOWN]))
    table = None if args.out is None else args.out.open("w", newline="", encoding="utf-8")
    try:
        if table is not None:
            rows = csv.writer(table, delimiter="\t")
            rows.writerow(["time", "target", "bold", "low", "high", "known"])
        for found in frames:
            for i, seconds in enumerate(found.times):
                print(_line(seconds, found.bold[i], model, found.known[i]), flush=True)
                shown.append((seconds, found.bold[i], found.low[i], found.high[i]))
                if table is not None:
                    values = zip(names, found.bold[i], found.low[i], found.high[i], strict=True)
                    rows.writerows(
                        [f"{seconds:.3f}", name, *(f"{v:.6g}" for v in of), int(found.known[i])]
                        for name, *of in values
                    )
                    table.flush()
            while shown[-1][0] - shown[0][0] > _SHOWN_SECONDS:
                shown.popleft()
            if args.page is not None and time.monotonic() - drawn > _REDRAWN:
                _draw(shown, names, args.page)
                drawn = time.monotonic()
    finally:
        if table is not None:
            table.close()
        if args.page is not None and shown:
            _draw(shown, names, args.page)


def _line(seconds: float, bold: np.ndarray, model, known: bool) -> str:
    """One frame as text: values (n_targets,) with a bar of each around the training mean."""
    levels = 0.5 + (bold - model.y_mean_) / (4 * np.maximum(model.y_scale_, 1e-12))
    cells = []
    for value, level in zip(bold[:_N_SHOWN], np.clip(levels, 0, 1), strict=False):
        cells.append(f"{value:>12.3g} {_BARS[round(level * (len(_BARS) - 1))]}")
    return f"{seconds:7.1f}  " + "  ".join(cells) + ("" if known else "  samples were lost")


def _draw(shown, names: list[str], path: Path) -> None:
    """Write the page: courses and intervals of the last frames."""
    from io import StringIO

    from matplotlib.figure import Figure

    times = np.array([frame[0] for frame in shown])
    bold, low, high = (np.stack([frame[k] for frame in shown]) for k in (1, 2, 3))
    n = min(_N_SHOWN, len(names))
    figure = Figure(figsize=(8, 1.1 * n + 0.5), layout="constrained")
    for k, panel in enumerate(figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]):
        panel.fill_between(times, low[:, k], high[:, k], color="C0", alpha=0.2, lw=0)
        panel.plot(times, bold[:, k], color="C0", lw=1.2)
        panel.set_title(names[k], loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    panel.set_xlabel("time (s)", fontsize=9)
    drawing = StringIO()
    figure.savefig(drawing, format="svg")
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="refresh" content="{_REDRAWN:g}"><title>Predicted BOLD</title>'
        "<style>body{font-family:sans-serif;margin:1em auto;max-width:60em}"
        "svg{width:100%;height:auto}</style>"
        f"<h1>Predicted BOLD, to {times[-1]:.0f} s</h1>"
        "<p>Lines: predictions from the stream, in the unit of the training BOLD; "
        "bands: intervals that hold nine of ten measured frames.</p>"
        + drawing.getvalue()[drawing.getvalue().index("<svg") :]
        + "</html>"
    )
    # A browser that reads in between finds the old page or the new one.
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
