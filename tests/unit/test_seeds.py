"""Random streams are named, independent and stable."""

from hypothesis import given
from hypothesis import strategies as st

from cimsearch.seeds import stream, stream_seed, torch_seed

keys = st.lists(st.one_of(st.integers(), st.text(max_size=8)), min_size=1, max_size=4)


def test_a_stream_is_the_same_everywhere() -> None:
    assert stream_seed("proposal", 0, 1) == 17763181093102984000
    assert stream("proposal", 0, 1).integers(0, 1000, 3).tolist() == [272, 447, 550]


@given(keys, keys)
def test_other_names_other_streams(a: list[str | int], b: list[str | int]) -> None:
    assert (stream_seed(*a) == stream_seed(*b)) == (
        [(type(x), x) for x in a] == [(type(x), x) for x in b]
    )


@given(keys)
def test_torch_seeds_fit(path: list[str | int]) -> None:
    assert 0 <= torch_seed(*path) < 2**63
    assert stream_seed("1") != stream_seed(1)
