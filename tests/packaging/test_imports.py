"""What must not be loaded is not loaded."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "optuna", "plotly", "sqlalchemy", "distributed", "pymoo", "sklearn")


def loaded_by(code: str) -> set[str]:
    """Return which heavy packages are loaded after ``code`` ran in a new process."""
    report = (
        f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import cimsearch",
        "import cimsearch; cimsearch.load_hardware, cimsearch.load_study, cimsearch.load_space",
        "import cimsearch; cimsearch.estimate, cimsearch.estimate_batch",
        "from cimsearch.cli import cli; cli.main(['--help'], standalone_mode=False)",
        "from cimsearch.cli import cli; cli.main(['list'], standalone_mode=False)",
        "from cimsearch.cli import cli; cli.main(['cost', 'resnet8', '--hardware', "
        "'macros/yu_cicc_2020'], standalone_mode=False)",
    ],
)
def test_heavy_packages_are_loaded_late(code: str) -> None:
    assert loaded_by(code) == set()
