"""The hash of the sources that a score depends on."""

import ast
from pathlib import Path

import cimsearch
from cimsearch.evaluate import version

PACKAGE = Path(cimsearch.__file__).parent
ROOMS = ("cim", "networks", "training", "evaluate")
NOT_OF_A_SCORE = {"errors.py"}


def modules_imported(path: Path) -> set[str]:
    """Return the modules of cimsearch, outside its rooms and ``cost`` and ``spec``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cimsearch."):
            parts = (node.module or "").split(".")[1:]
            if parts[0] not in (*ROOMS, "cost", "spec"):
                place = PACKAGE.joinpath(*parts)
                found.add("/".join(parts) + (".py" if place.with_suffix(".py").exists() else ""))
    return found


def test_whatever_training_imports_is_part_of_it() -> None:
    found = {
        name
        for room in ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        for name in modules_imported(path)
    }
    listed = set(version._ROOMS)
    missing = {name for name in found if name not in listed and name.split("/")[0] not in listed}
    assert missing == NOT_OF_A_SCORE
