"""An archive changed anywhere is refused and leaves nothing, or it is the study as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimsearch.errors import StorageError
from cimsearch.store import CimStorage, open_storage
from cimsearch.store.archive_import import read_archive
from tests.unit.store.archives import counts, taken, write_good


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a good archive."""
    return write_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def target() -> Iterator[CimStorage]:
    """Return an empty database."""
    storage = open_storage("sqlite:///:memory:")
    yield storage
    storage.close()


def check_damaged(target: CimStorage, good: Path, path: Path, content: bytes) -> None:
    """Check that a file is refused and leaves nothing, or gives the study as it was."""
    path.write_bytes(content)
    told = ""
    try:
        found = taken(target, path)
    except StorageError as error:
        told = error.message
    assert set(counts(target).values()) == {0}
    assert "\n" not in told
    if not told:
        assert found == taken(target, good)


ANYWHERE = st.integers(0, 10**9)
OFTEN = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(place=ANYWHERE, flip=st.integers(1, 255))
@OFTEN
def test_any_byte_changed_is_seen_or_does_not_matter(
    target: CimStorage, good: Path, tmp_path: Path, place: int, flip: int
) -> None:
    content = bytearray(good.read_bytes())
    content[place % len(content)] ^= flip
    check_damaged(target, good, tmp_path / "x.cimstudy", bytes(content))


@given(place=ANYWHERE, flip=st.integers(1, 255))
@OFTEN
def test_any_byte_changed_in_the_directory_is_seen_or_does_not_matter(
    target: CimStorage, good: Path, tmp_path: Path, place: int, flip: int
) -> None:
    content = bytearray(good.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + place % (len(content) - directory)] ^= flip
    check_damaged(target, good, tmp_path / "x.cimstudy", bytes(content))


@given(length=ANYWHERE)
@OFTEN
def test_file_cut_anywhere_is_seen(
    target: CimStorage, good: Path, tmp_path: Path, length: int
) -> None:
    content = good.read_bytes()
    (tmp_path / "x.cimstudy").write_bytes(content[: length % len(content)])
    with pytest.raises(StorageError):
        read_archive(target, tmp_path / "x.cimstudy")
    assert set(counts(target).values()) == {0}


@given(start=ANYWHERE, length=st.integers(1, 5000), filler=st.binary(max_size=50))
@OFTEN
def test_bytes_replaced_by_others_are_seen_or_do_not_matter(
    target: CimStorage, good: Path, tmp_path: Path, start: int, length: int, filler: bytes
) -> None:
    content = good.read_bytes()
    start %= len(content)
    changed = content[:start] + filler + content[start + length :]
    check_damaged(target, good, tmp_path / "x.cimstudy", changed)
