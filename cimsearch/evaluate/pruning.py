"""Pruning as work for a worker: the job that goes out and what comes back. JSON, without torch."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from cimsearch.evaluate.job import Job
from cimsearch.evaluate.version import pricing_hash
from cimsearch.space import Candidate
from cimsearch.spec.adaptation import Pruning
from cimsearch.spec.base import canonical_json, content_hash
from cimsearch.spec.study import Statistics

PRUNE_SCHEMA = "cimsearch/prune_job/1"
PRUNED_SCHEMA = "cimsearch/pruned/1"

Stopped = Literal["target", "accuracy", "widths"]
"""Why pruning stopped: cost reached, accuracy too low beyond, or nothing saves any more."""


@dataclass(frozen=True)
class PruneJob:
    """Prune a candidate: its float parent, or itself through its hardware, as ``pruning`` says.

    Attributes:
        job: The candidate as it is trained and scored; its validation images measure accuracy.
        pruning: How it is pruned.
        statistics: Declared data statistics that price it.
        shares: Of layers in parts, what share of channels was asked to have more bits, by the
            layer; of others it is that of the job's network.
    """

    job: Job
    pruning: Pruning
    statistics: Statistics
    shares: tuple[tuple[str, float], ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of everything the result depends on."""
        # What channels are worth is told by training, what they cost by pricing.
        return content_hash(self._plain | {"job": self.job.key, "prices": pricing_hash()})

    @property
    def _plain(self) -> dict[str, Any]:
        asked = {"shares": [list(pair) for pair in self.shares]} if self.shares else {}
        return asked | {
            "schema": PRUNE_SCHEMA,
            "pruning": self.pruning.model_dump(mode="json"),
            "statistics": self.statistics.model_dump(mode="json"),
        }

    def to_json(self) -> str:
        """Return the job as canonical JSON."""
        return canonical_json(self._plain | {"job": json.loads(self.job.to_json())})

    @classmethod
    def from_json(cls, text: str) -> "PruneJob":
        """Return the job that ``to_json`` described.

        Raises:
            ValueError: The schema is another, or a part is not valid.
        """
        raw = json.loads(text)
        if raw.get("schema") != PRUNE_SCHEMA:
            raise ValueError(f"job schema is {raw.get('schema')!r}; allowed is {PRUNE_SCHEMA!r}")
        return cls(
            Job.from_json(json.dumps(raw["job"])),
            Pruning.model_validate_json(json.dumps(raw["pruning"])),
            Statistics.model_validate_json(json.dumps(raw["statistics"])),
            tuple((layer, share) for layer, share in raw.get("shares", ())),
        )


def is_prune_job(text: str) -> bool:
    """Return whether the JSON of a job is that of pruning."""
    return bool(json.loads(text).get("schema") == PRUNE_SCHEMA)


@dataclass(frozen=True)
class PruneStep:
    """A network on the way, after which it was tuned.

    Attributes:
        removed: Channels that went since the last one, by group.
        cost_frac: The priced cost as a share of that at the beginning.
        energy_pj: Priced, per inference.
        latency_ns: Priced, per inference.
        bitlines: Columns of arrays that hold weights.
        accuracy: On validation images (0..1): of the float network, or through its hardware.
        blocks: Residual blocks that went since the last one, each called by its add.
    """

    removed: tuple[tuple[str, int], ...]
    cost_frac: float
    energy_pj: float
    latency_ns: float
    bitlines: int
    accuracy: float
    blocks: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """The step as plain data: without ``blocks`` where none went."""
        return {name: value for name, value in asdict(self).items() if name != "blocks" or value}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "PruneStep":
        """Return what ``plain`` describes."""
        removed = tuple((group, count) for group, count in plain["removed"])
        return cls(**plain | {"removed": removed, "blocks": tuple(plain.get("blocks", ()))})


@dataclass(frozen=True)
class PrunedNetwork:
    """What a worker made of a candidate.

    Attributes:
        candidate: The narrowed network and its float parent, of equal widths.
        weights: SHA-256 of the file of the float weights, which is in the cache.
        history: Every network after which it was tuned; the first is as it was.
        stopped: Why no more channels went.
        fingerprint: Kind of machine.
        seconds: Wall time.
        cpu_seconds: Processor time.
    """

    candidate: Candidate
    weights: str
    history: tuple[PruneStep, ...]
    stopped: Stopped
    fingerprint: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def to_json(self) -> str:
        """Return it as canonical JSON."""
        plain = {
            "schema": PRUNED_SCHEMA,
            "candidate": json.loads(self.candidate.to_json()),
            "weights": self.weights,
            "history": [step.plain for step in self.history],
            "stopped": self.stopped,
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }
        return canonical_json(plain)

    @classmethod
    def from_json(cls, text: str) -> "PrunedNetwork":
        """Return what ``to_json`` described.

        Raises:
            ValueError: The schema is not this version's.
        """
        raw = json.loads(text)
        schema = raw.pop("schema", None)
        if schema != PRUNED_SCHEMA:
            raise ValueError(f"schema is {schema!r}; allowed is {PRUNED_SCHEMA!r}")
        raw["candidate"] = Candidate.from_json(json.dumps(raw["candidate"]))
        raw["history"] = tuple(map(PruneStep.of, raw["history"]))
        return cls(**raw)
