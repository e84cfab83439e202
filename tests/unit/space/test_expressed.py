"""Choices by gene name, of which those that a candidate does not express may be missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.errors import SpaceError
from cimsearch.space import AnySpace, Space, encode_expressed, space_of
from cimsearch.spec import load_study

STUDY = load_study("macro_search")
SPACES: tuple[AnySpace, ...] = (Space(STUDY.space), space_of(STUDY))


@given(st.sampled_from(SPACES), st.integers(0, 10_000))
def test_what_a_candidate_expresses_is_enough(space: AnySpace, seed: int) -> None:
    candidate = space.sample(seed)
    values = space.choices(candidate.genes)
    assert space.decode(encode_expressed(space, values)).hash == candidate.hash


@given(st.sampled_from(SPACES), st.integers(0, 10_000), st.data())
def test_of_missing_genes_those_that_count_are_named(
    space: AnySpace, seed: int, data: st.DataObject
) -> None:
    values = space.choices(space.sample(seed).genes)
    depths = [name for name in values if name.endswith("depth")]
    left_out = data.draw(st.sampled_from([name for name in values if name not in depths]))
    with pytest.raises(SpaceError) as caught:
        encode_expressed(space, {n: v for n, v in values.items() if n != left_out})
    assert caught.value.message == f"genes: missing {left_out}"


def test_many_missing_genes_are_counted() -> None:
    space = SPACES[1]
    with pytest.raises(SpaceError, match=r"^genes: missing stage0\.width, .* and \d+ more\n"):
        encode_expressed(space, {"hardware.rows": 64})


def test_genes_that_a_space_does_not_have_are_named() -> None:
    space = SPACES[0]
    values = space.choices(space.sample(0).genes) | {"hardware.rows": 64, "width": 3}
    with pytest.raises(SpaceError) as caught:
        encode_expressed(space, values)
    assert caught.value.message == (
        "genes: found hardware.rows, width, which vgg_tiny does not have"
    )
    assert "cimsearch trial NAME NUMBER --json" in caught.value.hint


def test_a_value_that_is_no_choice_is_refused() -> None:
    space = SPACES[0]
    values = space.choices(space.sample(0).genes) | {"stage0.width": 3}
    with pytest.raises(SpaceError, match=r"stage0\.width: found 3; allowed is one of"):
        encode_expressed(space, values)
