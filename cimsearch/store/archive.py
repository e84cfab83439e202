"""The file of a shared study: what is in it, and how much of it may be.

It is a zip of JSON and JSON lines, with no code and no pickle. ``manifest.json`` names every other
member with its size and SHA-256.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat

from cimsearch.store.rows import Direction, FrontAction, Role, StudyRow, TrialStateName

SUFFIX = ".cimstudy"
SCHEMA = "cimsearch/archive/1"
"""The version of the file's layout."""

MANIFEST = "manifest.json"
STUDY = "study.json"
SPECS = ("study", "space", "hardware")
"""The parts of a study's spec, each a readable file ``spec/PART.json``."""
OPTIONAL_SPEC = "also"
"""One more part, which a study of several workloads has: the spaces of the others."""
DISTRIBUTIONS = "distributions.jsonl"
TRIALS = "trials.jsonl"
EVALUATIONS = "evaluations.jsonl"
ATTEMPTS = "attempts.jsonl"
LAYERS = "layers.jsonl"
FRONT = "front.jsonl"
REQUIRED = frozenset(
    {STUDY, DISTRIBUTIONS, TRIALS, EVALUATIONS, ATTEMPTS, LAYERS, FRONT}
    | {f"spec/{part}.json" for part in SPECS}
)
"""The members that every archive has, beside the manifest."""
OPTIONAL = frozenset({f"spec/{OPTIONAL_SPEC}.json"})
"""Members that some have."""
WEIGHTS = re.compile(r"weights/[a-z0-9][a-z0-9_.\-]{0,127}\.safetensors")
"""The names that a trained network may have."""

MAX_BYTES = 16 * 2**30
"""Of all members together, unpacked."""
MAX_JSON_BYTES = 64 * 2**20
"""Of the manifest, of a spec's part, and of one line."""

IMPORTED = "imported"
"""The attribute of an imported study that tells where it came from."""
KEY_PREFIX = "imported:"
"""Before the key of an imported evaluation, so that its score is never taken for one's own."""


def imported_from(row: StudyRow) -> str | None:
    """Return the file that a study was imported from, or None for a study of this database.

    An imported study is read-only: its owner goes on with it, not who looks at it.
    """
    origin = row.user_attrs.get(IMPORTED)
    return str(origin["file"]) if isinstance(origin, dict) else None


MAX_TEXT = 10_000
"""Characters of one text that is no JSON."""
Name = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$", max_length=MAX_TEXT)]
"""A text that every database takes, and that does nothing to a terminal."""
Index = Annotated[int, Field(ge=0, lt=2**31)]
Time = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 2, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]
"""A time that every time zone has."""


class Part(BaseModel):
    """A strict, frozen part of an archive that forbids fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Member(Part):
    """A member: its size, unpacked, and what its content must hash to."""

    bytes: Annotated[int, Field(ge=0, le=MAX_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Part):
    """What an archive says of itself.

    ``cimsearch`` and ``layout`` are the versions of the program and of the database that wrote it.
    """

    schema_: Annotated[Literal["cimsearch/archive/1"], Field(alias="schema")]
    cimsearch: Name
    layout: Name
    study: Name
    members: dict[str, Member]


class StudyPart(Part):
    """The study's own row."""

    name: Name
    directions: Annotated[tuple[Direction, ...], Field(min_length=1)]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    created: Time


class DistributionsLine(Part):
    """The distributions of parameters that trials share; trials name them by their place."""

    distributions: dict[str, Any]


class TrialLine(Part):
    """A trial; ``promoted_from`` is a trial's number."""

    number: Index
    state: TrialStateName
    params: dict[str, Any]
    distributions: Index
    values: tuple[float, ...] | None
    intermediate: dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], float]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    candidate_hash: Name | None
    rung: Index | None
    promoted_from: Index | None
    started: Time | None
    ended: Time | None
    fail_reason: Name | None


class EvaluationLine(Part):
    """An evaluation; ``trial`` is a trial's number."""

    role: Role
    label: Name
    trial: Index | None
    key: Name
    candidate: dict[str, Any]
    cost: dict[str, Any]
    job: dict[str, Any]
    state: Literal["pending", "done", "failed"]
    score: dict[str, Any] | None
    fail_reason: Name | None
    created: Time
    ended: Time | None


class AttemptLine(Part):
    """An attempt that has ended; ``evaluation`` is the place of a line, from 0."""

    evaluation: Index
    n: Annotated[int, Field(ge=1, lt=2**31)]
    worker: Name
    state: Literal["done", "lost", "failed", "late", "interrupted"]
    started: Time
    ended: Time | None
    reason: Name | None


class LayerLine(Part):
    """What a layer of an evaluated network costs; ``evaluation`` is the place of a line."""

    evaluation: Index
    layer_index: Index
    name: Name
    op: Name
    energy_pj: FiniteFloat
    latency_ns: FiniteFloat
    area_um2: FiniteFloat
    utilization: FiniteFloat
    components: dict[str, FiniteFloat]


class FrontLine(Part):
    """A change of the front of a rung; ``trial`` is a trial's number."""

    seq: Annotated[int, Field(ge=1, lt=2**31)]
    rung: Index | None
    trial: Index
    action: FrontAction
    hypervolume: FiniteFloat | None
