"""Golden files: contracts that others build on, frozen.

A changed golden file is a changed contract: the schema's version has to say so. To write the
files anew after such a decision, run the tests with ``UPDATE_GOLDEN=1``.
"""

import json
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def check_golden(name: str, data: Any) -> None:
    """Compare plain data with the golden file ``name``."""
    path = HERE / name
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(text), (
        f"{name} differs from the frozen contract"
    )
