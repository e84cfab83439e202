"""The report of ``data check``."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsearch.spec.study import DataSpec, DigitsData, ImportData, Normalisation, NpzData
from cimsearch.training.data import load_part, normalise
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.inspect import DataReport, check

SIGNALS = NpzData(kind="npz", shape=(2, 1, 30), classes=3)


def signals(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).random((count, 2, 30)), np.arange(count) % 3


def report_of(tmp_path: Path, data: DataSpec = SIGNALS, **arrays: Any) -> DataReport:
    np.savez(tmp_path / "d.npz", **arrays)
    return check(data, str(tmp_path / "d.npz"))


def test_clean_data() -> None:
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    report = check(data, None)
    assert report.warnings == ()
    assert sum(part.images for part in report.parts.values()) == 1797
    assert [sum(part.per_class) for part in report.parts.values()] == [
        part.images for part in report.parts.values()
    ]
    assert set(report.shared) == {"train/validation", "train/test", "validation/test"}
    assert not any(report.shared.values())
    assert (report.parts["train"].value_min, report.parts["train"].value_max) == (0, 1)
    assert report.fingerprint == fingerprint(data, None)
    assert json.loads(json.dumps(report.to_dict()))["parts"]["test"]["dtype"] == "uint8"


def test_mean_and_std_are_what_normalisation_needs() -> None:
    data = DigitsData(kind="digits", shape=(1, 8, 8), classes=10)
    report = check(data, None)
    measured = data.model_copy(
        update={"normalisation": Normalisation(mean=report.mean, std=report.std)}
    )
    x = normalise(load_part(data, None, "train").x, measured)
    assert abs(float(x.mean())) < 1e-5
    assert abs(float(x.std()) - 1) < 1e-3


def test_copies_are_found_within_and_across_parts(tmp_path: Path) -> None:
    x, y = signals(300, 1)
    x[1:4], y[1:4] = x[0], y[0]
    x_test, y_test = signals(150, 2)
    x_test[:5], y_test[:5] = x[0], y[0]
    report = report_of(tmp_path, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    train, validation = report.parts["train"], report.parts["validation"]
    assert report.parts["test"].duplicates == 4
    assert train.duplicates + validation.duplicates + report.shared["train/validation"] >= 3
    assert max(report.shared["train/test"], report.shared["validation/test"]) == 5
    assert any("images of test are also in" in warning for warning in report.warnings)
    assert report.conflicts == 0


def test_copies_with_other_labels(tmp_path: Path) -> None:
    x, y = signals(600, 1)
    x[1] = x[0]
    report = report_of(tmp_path, x=x, y=y)
    assert report.conflicts == 1
    assert "1 images have two or more labels" in report.warnings


def test_imbalance_and_absent_classes(tmp_path: Path) -> None:
    x, y = signals(600, 1)
    y[:] = np.where(np.arange(600) < 25, y, 0)
    report = report_of(tmp_path, x_train=x, y_train=y, x_test=x[:200] + 1, y_test=y[:200] % 2)
    assert report.parts["train"].per_class[0] > 10 * report.parts["train"].per_class[1]
    assert any("of one class and" in warning for warning in report.warnings)
    assert "test has no image of class 2" in report.warnings


def test_small_parts(tmp_path: Path) -> None:
    x, y = signals(60, 1)
    report = report_of(tmp_path, x=x, y=y)
    assert "test has 12 images: accuracy moves in steps of 8.3 %" in report.warnings


def test_values_that_want_normalisation(tmp_path: Path) -> None:
    x, y = signals(750, 1)
    report = report_of(tmp_path, x=x * 500, y=y)
    (warning,) = report.warnings
    assert warning.startswith("values reach 499.")
    declared = json.loads(
        re.sub(r".*normalisation: {mean: (.*), std: (.*)}", r"[\1, \2]", warning)
    )
    np.testing.assert_allclose(declared, [report.mean, report.std], rtol=1e-3)
    normalised = SIGNALS.model_copy(
        update={"normalisation": Normalisation(mean=report.mean, std=report.std)}
    )
    assert report_of(tmp_path, normalised, x=x * 500, y=y).warnings == ()


def test_mean_and_std_far_from_zero(tmp_path: Path) -> None:
    x, y = signals(3000, 1)
    report = report_of(tmp_path, x_train=x + 1000, y_train=y, x_test=x[:300], y_test=y[:300])
    np.testing.assert_allclose(report.mean, x.mean(axis=(0, 2)) + 1000, rtol=1e-4)
    np.testing.assert_allclose(report.std, x.std(axis=(0, 2)), rtol=0.02)


def test_parts_of_two_types(tmp_path: Path) -> None:
    x, y = signals(600, 1)
    byte = (x * 255).astype(np.uint8)
    report = report_of(tmp_path, x_train=byte, y_train=y, x_test=x, y_test=y)
    assert "parts are of types float32, uint8; only uint8 is scaled to 0..1" in report.warnings


def test_a_function_that_returns_other_arrays_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unsteady.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x = np.random.default_rng().random((600, 4))\n"
        "    return x, np.arange(600) % 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "unsteady", raising=False)
    data = ImportData(kind="import", shape=(1, 1, 4), classes=2, target="unsteady:load")
    assert (
        "unsteady:load returns other arrays each time: fix its seed" in check(data, None).warnings
    )
