"""Where an export is to go is tried before anything is computed for it."""

from pathlib import Path

import pytest

from cimsearch.errors import UsageError
from cimsearch.export.files import check_target, read_directory, write_directory
from tests.commands import cimsearch

CONTENTS = {"a.json": b"{}"}


def test_a_link_to_an_empty_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert check_target(tmp_path / "link") == tmp_path / "there"
    write_directory(tmp_path / "link", CONTENTS, {})
    assert (tmp_path / "link").is_symlink()
    assert read_directory(tmp_path / "there", needed=[]).contents == CONTENTS
    with pytest.raises(UsageError, match="link: exists and is not an empty directory"):
        check_target(tmp_path / "link")


def test_links_among_the_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    write_directory(tmp_path / "link" / "new" / "out", CONTENTS, {})
    assert (tmp_path / "there" / "new" / "out" / "manifest.json").exists()


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="exists and is not an empty directory"):
        check_target(tmp_path / "loop")


def test_trying_leaves_nothing(tmp_path: Path) -> None:
    assert check_target(tmp_path / "new" / "out") == tmp_path / "new" / "out"
    assert not list(tmp_path.iterdir())


def test_a_mount_point_cannot_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is mounted for a test: it is only said that something is."""
    monkeypatch.setattr(Path, "is_mount", lambda self: self == tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="out: is a mount point") as error:
        check_target(tmp_path / "out")
    assert error.value.hint == "name a new directory in it"


@pytest.mark.parametrize("to", ["/proc/x", "/proc/x/y"])
def test_what_takes_no_directory_is_told_before_any_work(tmp_path: Path, to: str) -> None:
    """There is no database yet: that comes later."""
    done = cimsearch("export", "none", "0", "--to", to, cwd=tmp_path, expect=2)
    assert f"{to}: cannot be written: " in done.stderr
