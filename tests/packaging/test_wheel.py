"""The wheel carries the catalogues and works without torch, in a clean environment."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin directory of a new environment with the wheel and no torch in it."""
    room = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", room, ROOT, cwd=room)
    (wheel,) = room.glob("cimsearch-*.whl")
    venv.create(room / "env")
    python = room / "env" / "bin" / "python"
    # Compiling all of it takes longer than the few imports of the test do without.
    options = ("--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt")
    run(*pip_of(python), "install", *options, wheel, cwd=room)
    return python.parent


def pip_of(python: Path) -> tuple[str, ...]:
    """Return our pip, as a command that works on the environment of another python."""
    return (sys.executable, "-m", "pip", "--python", str(python))


def test_catalogues_and_prices_without_torch(installed: Path, tmp_path: Path) -> None:
    packages = json.loads(
        run(*pip_of(installed / "python"), "list", "--format", "json", cwd=tmp_path)
    )
    assert "torch" not in {package["name"].lower() for package in packages}
    listed = json.loads(run(installed / "cimsearch", "list", "--json", cwd=tmp_path))
    names = {(entry["kind"], entry["name"]) for entry in listed}
    for kind in ("hardware", "spaces", "studies"):
        files = (ROOT / kind).rglob("*.yaml")
        expected = {(kind, f.relative_to(ROOT / kind).with_suffix("").as_posix()) for f in files}
        assert expected <= names
        assert expected
    cost = json.loads(
        run(
            installed / "cimsearch",
            "cost",
            "resnet8",
            "--hardware",
            "macros/chih_isscc_2021",
            "--json",
            cwd=tmp_path,
        )
    )
    assert cost["energy_pj"] > 0
    assert sum(cost["components"].values()) == pytest.approx(cost["energy_pj"])
    run(installed / "cimsearch", "check", ROOT / "studies" / "quickstart.yaml", cwd=tmp_path)
    run(
        installed / "python",
        "-c",
        "import cimsearch.api, cimsearch.orchestrate.launch",
        cwd=tmp_path,
    )
