"""Medians of interleaved repeats, the machine's roofline, memory, growth."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch


def synchronise() -> None:
    """Wait for an accelerator, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(function) -> float:
    """Time one call: processor seconds of this process, or wall-clock seconds on an accelerator.

    All runs on one thread, so that both agree on an idle machine; on a busy one, processor time
    leaves out what others take.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    synchronise()
    start = clock()
    function()
    synchronise()
    return clock() - start


def interleaved(functions: dict, repeats: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of functions that take turns, so that a busy machine slows all alike."""
    if warm:
        for function in functions.values():
            function()
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return {name: float(np.median(values)) for name, values in times.items()}


def roofline(device: str = "cpu") -> dict[str, float]:
    """Floating-point operations per second of a matrix product, bytes per second of a copy."""
    n = 1536 if device == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    source = torch.randn(1 << 26, device=device)
    target = torch.empty_like(source)
    product, copy = [], []
    a @ b
    for _ in range(7):
        product.append(seconds(lambda: a @ b))
        copy.append(seconds(lambda: target.copy_(source)))
    return {
        "flops": 2.0 * n**3 / float(np.median(product)),
        "bytes": 2.0 * 4 * source.numel() / float(np.median(copy)),
    }


def relative(ours, other) -> float:
    """Norm of the difference over the norm of the other."""
    ours, other = (torch.as_tensor(x).double() for x in (ours, other))
    return float((ours - other).norm() / other.norm())


def exponent(sizes, times) -> float:
    """Slope of log time over log size."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def reset_peak() -> None:
    """Forget the largest memory so far (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Largest resident memory since `reset_peak`, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("The kernel does not say VmHWM.")
