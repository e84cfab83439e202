"""The machine a worker runs on: one thread, its fast type, and what kind it is."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Multiply-accumulates of an image from which bfloat16 pays; below, calls cost more than sums.
BFLOAT16_MACS = 4_000_000

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30


@contextmanager
def one_thread() -> Iterator[None]:
    """Run with one thread, and restore what was set before.

    Sums are then added up in one order on every run; and two workers on two cores with two threads
    each are many times slower than with one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next tensor instead of returning it to the system.

    Otherwise each large tensor is new pages that the kernel has to clear: a training step of
    ResNet-8 takes a sixth longer. Does nothing where the C library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)


def training_dtype(macs: int) -> torch.dtype:
    """Return the type to train a network of ``macs`` multiply-accumulates in: the faster one.

    Scores are always computed in float32.
    """
    fast = macs >= BFLOAT16_MACS and any(_has(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if fast else torch.float32


def fingerprint() -> str:
    """Return the kind of machine: scores of different kinds may differ in the last bits."""
    sets = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "neon", "bf16", "sve")
    has = " ".join(name for name in sets if _has(name))
    return f"{platform.machine()} {has or 'baseline'}, torch {torch.__version__}"


def _has(name: str) -> bool:
    return bool(torch.cpu.get_capabilities().get(name, False))
