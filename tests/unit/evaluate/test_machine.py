"""The machine: one thread, memory that is kept, the type to train in, its name."""

import torch

from cimsearch.evaluate.machine import (
    BFLOAT16_MACS,
    fingerprint,
    keep_freed_memory,
    one_thread,
    training_dtype,
)


def test_one_thread_and_then_as_before() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_memory_is_kept_any_number_of_times() -> None:
    keep_freed_memory()
    keep_freed_memory()
    assert torch.ones(1 << 22).sum() == 1 << 22


def test_small_networks_train_in_float32() -> None:
    assert training_dtype(BFLOAT16_MACS - 1) == torch.float32


def test_large_networks_train_in_bfloat16_where_the_processor_has_it() -> None:
    fast = any(name in fingerprint() for name in ("avx512_bf16", "amx_bf16"))
    assert training_dtype(BFLOAT16_MACS) == (torch.bfloat16 if fast else torch.float32)


def test_the_fingerprint_names_processor_and_torch() -> None:
    assert fingerprint() == fingerprint()
    assert fingerprint().endswith(f"torch {torch.__version__}")
