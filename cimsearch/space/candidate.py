"""What genes decode to: the network to build and price, on which setting of the hardware."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cimsearch.blueprint import Blueprint
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.hardware_genes import Settings

SCHEMA = "cimsearch/candidate/1"


@dataclass(frozen=True)
class Candidate:
    """A decoded candidate: the network to build and price, and the float parent it comes from.

    ``genes`` are the choice indices it was decoded from; a uniform baseline, which need not be in
    the space, has none. ``settings`` are those of the hardware's fields that the study searches.

    Of several workloads ``blueprint`` is their networks side by side, which is what is priced;
    ``members`` are the candidates that are built, by the name of their workload.
    """

    blueprint: Blueprint
    parent: Blueprint
    genes: tuple[int, ...] = ()
    settings: Settings = ()
    members: tuple[tuple[str, "Candidate"], ...] = ()

    @cached_property
    def hash(self) -> str:
        """Hash of blueprint, parent and settings: equal ones are equal, whatever their genes."""
        named: dict[str, Any] = {"blueprint": self.blueprint.hash, "parent": self.parent.hash}
        return content_hash(named | self._set)

    @property
    def _set(self) -> dict[str, Any]:
        return {"settings": [list(pair) for pair in self.settings]} if self.settings else {}

    @property
    def _shared(self) -> dict[str, Any]:
        members = [[name, json.loads(member.to_json())] for name, member in self.members]
        return {"members": members} if members else {}

    def to_json(self) -> str:
        """Return the candidate as canonical JSON."""
        return canonical_json(
            {
                "schema": SCHEMA,
                "genes": list(self.genes),
                "blueprint": self.blueprint.to_dict(),
                "parent": self.parent.to_dict(),
            }
            | self._set
            | self._shared
        )

    @classmethod
    def from_json(cls, text: str) -> "Candidate":
        """Return the candidate that ``to_json`` described.

        Raises:
            ValueError: The schema is not this version's.
        """
        raw = json.loads(text)
        if raw.get("schema") != SCHEMA:
            raise ValueError(f"candidate schema is {raw.get('schema')!r}; allowed is {SCHEMA!r}")
        blueprint, parent = (Blueprint.from_dict(raw[part]) for part in ("blueprint", "parent"))
        settings = tuple((name, value) for name, value in raw.get("settings", ()))
        members = tuple(
            (name, cls.from_json(json.dumps(member))) for name, member in raw.get("members", ())
        )
        return cls(blueprint, parent, tuple(raw["genes"]), settings, members)
