"""Where data is looked for, and what a study may declare."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cimsearch.errors import DataError
from cimsearch.spec.study import DataSpec, DigitsData, ImportData, ParquetData
from cimsearch.training.data import resolve_path

PARQUET = ParquetData(kind="parquet", shape=(1, 8, 8), classes=10)


def test_given_goes_before_environment_goes_before_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / name for name in ("given", "environment", "study")}
    for place in places.values():
        place.mkdir()
    data, beside = PARQUET.model_copy(update={"path": "study"}), tmp_path / "study.yaml"
    assert resolve_path(data, None, beside=beside) == str(places["study"])
    monkeypatch.setenv("CIMSEARCH_DATA", str(places["environment"]))
    assert resolve_path(data, None, beside=beside) == str(places["environment"])
    assert resolve_path(data, str(places["given"]), beside=beside) == str(places["given"])


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    data = PARQUET.model_copy(update={"path": "data"})
    wanted = str(tmp_path / "sub" / "data")
    assert resolve_path(data, None, beside=Path("sub/study.yaml")) == wanted
    assert resolve_path(data, "sub/data", beside=None) == wanted
    monkeypatch.chdir(tmp_path / "sub")
    assert resolve_path(data, None, beside=None) == wanted


def test_missing_places_say_what_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="parquet data has no place") as caught:
        resolve_path(PARQUET, None, beside=tmp_path / "study.yaml")
    assert "--data DIR" in caught.value.hint
    assert "train*.parquet and test*.parquet" in caught.value.hint
    data = PARQUET.model_copy(update={"path": "gone"})
    with pytest.raises(DataError, match=r"gone: no such .*\(from data.path of the study\)"):
        resolve_path(data, None, beside=tmp_path / "study.yaml")
    monkeypatch.setenv("CIMSEARCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"nowhere: no such .*\(from CIMSEARCH_DATA\)"):
        resolve_path(data, None, beside=tmp_path / "study.yaml")
    with pytest.raises(DataError, match=r"never: no such .*\(from --data\)"):
        resolve_path(data, str(tmp_path / "never"), beside=None)


@pytest.mark.parametrize(
    "data",
    [
        DigitsData(kind="digits", shape=(1, 8, 8), classes=10),
        ImportData(kind="import", shape=(1, 8, 8), classes=10, target="a.b:c"),
    ],
)
def test_data_that_is_not_on_disk(data: DataSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMSEARCH_DATA", "/not/used")
    assert resolve_path(data, None, beside=None) is None
    with pytest.raises(DataError, match="takes no path"):
        resolve_path(data, "somewhere", beside=None)


@pytest.mark.parametrize(
    ("update", "field", "match"),
    [
        ({"normalisation": {"mean": [0.5, 0.5], "std": [1.0]}}, "mean", "found 2 values; .*: 1"),
        ({"normalisation": {"mean": [0.5], "std": [1.0, 2.0]}}, "std", "found 2 values; .*: 1"),
        (
            {"augmentation": {"shift_pixels": 6}},
            "shift_pixels",
            "found 6; .* less than the side 6",
        ),
    ],
)
def test_declarations_that_do_not_fit_the_shape(
    update: dict[str, Any], field: str, match: str
) -> None:
    from cimsearch.spec.document import FieldError

    data = {"kind": "npz", "shape": (1, 6, 9), "classes": 2, **update}
    with pytest.raises(ValidationError, match=match) as caught:
        TypeAdapter(DataSpec).validate_python(data, strict=False)
    (details,) = caught.value.errors()
    assert details["loc"] == ("npz", next(iter(update)))
    cause = details["ctx"]["error"]
    assert isinstance(cause, FieldError)
    assert cause.field == field


def test_a_signal_may_shift_by_less_than_its_length() -> None:
    data = {"kind": "npz", "shape": (2, 1, 9), "classes": 2}
    adapter: TypeAdapter[DataSpec] = TypeAdapter(DataSpec)
    adapter.validate_python(data | {"augmentation": {"shift_pixels": 8}}, strict=False)
    with pytest.raises(ValidationError, match="less than the side 9"):
        adapter.validate_python(data | {"augmentation": {"shift_pixels": 9}}, strict=False)
