"""The digits come with scikit-learn, which is not imported for them."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cimsearch.errors import DataError
from cimsearch.training import sources


def test_they_are_those_that_scikit_learn_loads() -> None:
    wanted = load_digits()
    x, y = sources._digits()
    np.testing.assert_array_equal(np.rint(x[:, 0] / (255 / 16)), wanted.images)
    np.testing.assert_array_equal(y, wanted.target)


def test_reading_them_does_not_import_scikit_learn() -> None:
    code = "import sys; from cimsearch.training import sources; sources._digits()\n"
    code += "print({'sklearn', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = ModuleSpec("sklearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(sources, "find_spec", lambda _: elsewhere)
    sources._digits.cache_clear()
    with pytest.raises(DataError, match=r"digits cannot be read: .*digits\.csv\.gz"):
        sources._digits()
