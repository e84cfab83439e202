"""Where a data set lies on disk and which files its parts are made of. Opens none of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cimsearch.errors import DataError
from cimsearch.spec.study import DataSpec, DigitsData, FolderData, ImportData

Side = Literal["train", "test"]

LAYOUTS = {
    "parquet": "a directory with train*.parquet and test*.parquet",
    "folder": "a directory with train/<class>/*.png and test/<class>/*.png, or <class>/*.png",
    "npz": "a .npz file, or a directory with one, holding x_train, y_train, x_test and y_test, "
    "or x and y",
}
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})


def resolve_path(data: DataSpec, given: str | None, *, beside: Path | None) -> str | None:
    """Return where the data lies, or None if it is not on disk.

    Args:
        data: The declaration.
        given: What the user said for this run (``--data``); goes before ``CIMSEARCH_DATA``, which
            goes before ``data.path``.
        beside: The study file, which ``data.path`` is relative to.

    Raises:
        DataError: No place was named, it does not exist, or this kind of data takes none.
    """
    if isinstance(data, DigitsData | ImportData):
        if given is not None:
            raise DataError(f"found --data {given}; data of kind {data.kind} takes no path")
        return None
    layout = f"{data.kind} data is {LAYOUTS[data.kind]}"
    environment = os.environ.get("CIMSEARCH_DATA")
    if given is not None:
        path, said_by = Path(given).expanduser(), "--data"
    elif environment:
        path, said_by = Path(environment).expanduser(), "CIMSEARCH_DATA"
    elif data.path is not None:
        folder = beside.parent if beside else Path()
        path, said_by = folder / Path(data.path).expanduser(), "data.path of the study"
    else:
        raise DataError(
            f"the study's {data.kind} data has no place",
            f"give --data DIR or set CIMSEARCH_DATA; {layout}",
        )
    if not path.exists():
        raise DataError(f"{path}: no such file or directory (from {said_by})", layout)
    return str(path.resolve())


def root_of(data: DataSpec, path: str | None) -> Path:
    """Return ``path``, which data on disk must have, as a path that exists.

    Raises:
        DataError: It is missing.
    """
    layout = f"{data.kind} data is {LAYOUTS[data.kind]}"
    if path is None:
        raise DataError(f"the study's {data.kind} data has no place", layout)
    root = Path(path)
    if not root.exists():
        raise DataError(f"{root}: no such file or directory", layout)
    return root


def parquet_files(root: Path, side: Side) -> tuple[Path, ...]:
    """Return the Parquet files of one side, in the order of their names.

    Raises:
        DataError: There are none.
    """
    files = tuple(sorted(root.glob(f"{side}*.parquet")))
    if not files:
        raise DataError(f"{root}: found no {side}*.parquet", f"wanted is {LAYOUTS['parquet']}")
    return files


def npz_file(root: Path) -> Path:
    """Return ``root`` if it is a file, else the one ``.npz`` in it.

    Raises:
        DataError: There is not exactly one.
    """
    if root.is_file():
        return root
    files = sorted(root.glob("*.npz"))
    if len(files) != 1:
        names = ", ".join(f.name for f in files) or "no .npz file"
        raise DataError(f"{root}: found {names}", f"wanted is {LAYOUTS['npz']}")
    return files[0]


@dataclass(frozen=True)
class Folder:
    """The image files of one side of a folder data set.

    Attributes:
        root: The data set's directory.
        classes: Names of the class directories, sorted: a class's label is its place here.
        files: Image files, sorted by class and name.
        labels: The label of each file.
        pooled: The data set has no test side of its own.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    pooled: bool


def folder_files(data: FolderData, root: Path, side: Side) -> Folder:
    """List the image files of one side; listing the training side does not look at the test.

    Raises:
        DataError: The directories are not laid out as they should be, a class has no images, or
            there are more or fewer classes than declared.
    """
    pooled = not (root / "train").is_dir()
    base = root if pooled else root / "train"
    classes = _subdirectories(base)
    if len(classes) != data.classes:
        raise DataError(
            f"{base}: found {len(classes)} class directories ({', '.join(classes) or 'none'}); "
            f"the study declares {data.classes} classes",
            f"wanted is {LAYOUTS['folder']}",
        )
    if side == "test" and not pooled:
        base = root / "test"
        if not base.is_dir():
            raise DataError(f"{base}: no such directory", f"wanted is {LAYOUTS['folder']}")
        if strange := set(_subdirectories(base)) - set(classes):
            raise DataError(
                f"{base}: found {', '.join(sorted(strange))}; allowed are the classes of train/: "
                f"{', '.join(classes)}"
            )
    by_class = [_images(base / name) for name in classes]
    empty = [name for name, files in zip(classes, by_class, strict=True) if not files]
    if empty and (side == "train" or len(empty) == len(classes)):
        raise DataError(
            f"{base}: found no images of {', '.join(empty)}",
            f"image files end in {', '.join(sorted(_IMAGE_SUFFIXES))}",
        )
    return Folder(
        root=root,
        classes=classes,
        files=tuple(file for files in by_class for file in files),
        labels=tuple(label for label, files in enumerate(by_class) for _ in files),
        pooled=pooled,
    )


def _subdirectories(base: Path) -> tuple[str, ...]:
    return tuple(
        sorted(p.name for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
    )


def _images(base: Path) -> tuple[Path, ...]:
    if not base.is_dir():
        return ()
    return tuple(sorted(p for p in base.iterdir() if p.suffix.lower() in _IMAGE_SUFFIXES))
