"""How commands compute and fail: on one thread, without windows; errors in one line."""

import contextlib
import sys
import traceback
from collections.abc import Iterator

# Help of the option --debug.
DEBUG = "show where an error came from"


@contextlib.contextmanager
def on_one_thread(log_level: str) -> Iterator[None]:
    """Results must not depend on how many threads there are, and matrices are small."""
    import matplotlib as mpl  # not where --help is all that is asked
    import matplotlib.pyplot as plt
    import mne
    import torch
    from threadpoolctl import threadpool_limits

    backend, threads = mpl.get_backend(), torch.get_num_threads()
    mpl.use("Agg")
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), mne.use_log_level(log_level):
            yield
    finally:
        torch.set_num_threads(threads)
        plt.close("all")
        mpl.use(backend)


def fail(error: Exception, debug: bool = False, who: str = "") -> int:
    """Say what went wrong in one line; ``debug`` shows where it came from."""
    from ..io._bids_files import one_line

    if debug:
        traceback.print_exc()
    print(f"mne_samba: error: {who}{one_line(error) or type(error).__name__}", file=sys.stderr)
    return 1
