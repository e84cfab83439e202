"""Sealed files: any change is noticed, and other programs read them."""

from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from cimsearch.training.seal import DIGEST, UNSEALED, is_whole, metadata_of, sealed

TENSORS = {"a/b.weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(7)}


@lru_cache
def a_file() -> bytes:
    return sealed(save(TENSORS, {"key": "k", DIGEST: UNSEALED, "more": '{"sha": "256"}'}))


def test_a_sealed_file_is_a_safetensors_file() -> None:
    assert is_whole(a_file())
    found = load(a_file())
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], values) for name, values in TENSORS.items())
    metadata = metadata_of(a_file())
    assert metadata["key"] == "k"
    assert metadata[DIGEST] != UNSEALED


def test_every_single_byte_counts() -> None:
    whole = a_file()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        assert not is_whole(changed), place


@given(st.data())
def test_other_bytes_are_not_whole(data: st.DataObject) -> None:
    whole = a_file()
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert not is_whole(whole[:cut])
    assert not is_whole(whole + data.draw(st.binary(min_size=1, max_size=9)))
    assert not is_whole(data.draw(st.binary(max_size=200)))


def test_a_file_without_a_place_for_its_digest_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="metadata: found no sha256"):
        sealed(save(TENSORS, {"key": "k"}))
