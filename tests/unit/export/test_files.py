"""A directory appears whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cimsearch.errors import UsageError
from cimsearch.export.files import read_directory, write_directory

ABOUT = {"study": "x", "network": "trial 1"}
CONTENTS = {"a.json": b"{}", "b.safetensors": bytes(range(256)), "c.md": b""}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_directory(tmp_path / "new" / "out", CONTENTS, ABOUT)
    files = read_directory(tmp_path / "new" / "out", needed=["a.json"])
    assert files.contents == CONTENTS
    assert not files.faults
    assert (files.manifest.study, files.manifest.network) == ("x", "trial 1")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_a_file_that_no_manifest_names_is_missed(tmp_path: Path) -> None:
    write_directory(tmp_path / "out", CONTENTS, ABOUT)
    found = read_directory(tmp_path / "out", needed=["d.json"])
    assert found.faults == ("d.json: not in the manifest",)


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_directory(tmp_path / "out", CONTENTS, ABOUT)
    assert (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("what", ["directory", "file", "link"])
def test_what_is_there_stays(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "directory":
        out.mkdir()
        (out / "mine").write_text("mine")
    elif what == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists and is not an empty directory"):
        write_directory(out, CONTENTS, ABOUT)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        {"directory": ["mine", "out"]}.get(what, ["out"])
    )


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_directory(tmp_path / "file" / "out", CONTENTS, ABOUT)


def test_an_error_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fail(self: Path, content: bytes) -> int:
        if self.name == "c.md":
            raise OSError(28, os.strerror(28))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UsageError, match="out: cannot be written: No space left on device"):
        write_directory(tmp_path / "out", CONTENTS, ABOUT)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from cimsearch.export.files import write_directory
write = Path.write_bytes
def die(self, content):
    if self.name == "c.md":
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, content)
Path.write_bytes = die
write_directory(Path(sys.argv[1]), {"a.json": b"{}", "c.md": b""}, {})
"""


def test_a_kill_half_way_leaves_no_export_and_is_cleared_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 1
    write_directory(out, CONTENTS, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
