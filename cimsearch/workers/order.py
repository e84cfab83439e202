"""What the orchestrator tells the warden to do."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Order:
    """What local workers are to be.

    Attributes:
        parent: The process id of the orchestrator, whom they do not outlive.
        workers: How many.
        resources: What each declares, by name.
        directory: Where they keep files of their own; removed at the end.
        path: Where modules are found.
        imports: Modules that they need, imported once by the process that they are forked from.
    """

    parent: int
    workers: int
    resources: Mapping[str, float]
    directory: str
    path: tuple[str, ...]
    imports: tuple[str, ...]

    def to_json(self) -> str:
        """Return the order as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Order":
        """Return the order that ``to_json`` described."""
        raw = json.loads(text)
        return cls(**raw | {name: tuple(raw[name]) for name in ("path", "imports")})
