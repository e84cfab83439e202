"""One export that tests read, or copy and damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.export.files import MANIFEST, manifest_of
from tests.unit.export.networks import exported, hardware, job


@pytest.fixture(scope="session")
def small_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export of differential pairs, scored on 2 noisy chips at L2. To be read only."""
    directory = tmp_path_factory.mktemp("export") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(directory.parent / "cache"))
        exported(job(hardware(weights={"encoding": "differential"})), directory)
    return directory


@pytest.fixture
def own_export(small_export: Path, tmp_path: Path) -> Path:
    """Return a copy of it that the test may damage."""
    shutil.copytree(small_export, tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def resealed(own_export: Path) -> Callable[[str, bytes], Path]:
    """Return a function that changes a file and the manifest with it, as a forger would."""

    def change(name: str, content: bytes) -> Path:
        about = json.loads((own_export / MANIFEST).read_text())
        del about["schema"], about["sha256"], about["files"]
        (own_export / name).write_bytes(content)
        contents = {
            path.name: path.read_bytes() for path in own_export.iterdir() if path.name != MANIFEST
        }
        (own_export / MANIFEST).write_bytes(manifest_of(contents, about))
        return own_export

    return change
