"""Where a delivered network comes from, and what its model card says of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Row = Sequence[str]


@dataclass(frozen=True)
class PrunedRound:
    """One pruning of a network.

    Attributes:
        removed: Channels that went, by group.
        cost_frac: What its cost is as a share of that before.
        settings: How it was pruned, as JSON.
        weights_sha256: Of the file of the float weights that it left.
        blocks: Residual blocks that went, each called by its add.
    """

    removed: tuple[tuple[str, int], ...]
    cost_frac: float
    settings: str
    weights_sha256: str
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        evaluation: Number of its evaluation in the study's database.
        role: What it is in the study.
        of: The trial or baseline that it is, or was made of.
        step: What an adaptation did with it, in its words; empty if none did.
        adaptation: How networks are adapted, as JSON; empty for what the study's last adaptation
            did not make.
        rounds: Every pruning on the way, in order.
        imported_sha256: Of the file of weights that its float parent came with, before any
            pruning; empty if the study trained it.
    """

    evaluation: int
    role: Literal["trial", "baseline", "test", "adapted"]
    of: str
    step: str = ""
    adaptation: str = ""
    rounds: tuple[PrunedRound, ...] = ()
    imported_sha256: str = ""


def origin_rows(study: str, origin: Origin) -> list[Row]:
    """Return the rows of the card's table: fact, value, source."""
    rows: list[Row] = [
        ("study", study, "the database"),
        ("evaluation", f"#{origin.evaluation} of its database", "the database"),
        ("baseline" if origin.role == "baseline" else "network", origin.of, "the study"),
    ]
    if origin.step:
        rows.append(("step of its adaptation", origin.step, "the study"))
    if origin.adaptation:
        rows.append(("adaptation", f"`{origin.adaptation}`", "the study"))
    if origin.imported_sha256:
        rows.append(
            ("weights that it was imported with", f"`{origin.imported_sha256}`", "SHA-256")
        )
    for number, done in enumerate(origin.rounds, start=1):
        rows += _round_rows(f"round {number} of pruning", done)
    return rows


def parent_epochs(origin: Origin, epochs: int) -> str:
    """Return how long the float parent was trained, in words.

    Args:
        origin: Of the network.
        epochs: Of a parent that the study trains.
    """
    trained = "none: imported with its weights" if origin.imported_sha256 else str(epochs)
    return f"{trained}; then pruned and tuned" if origin.rounds else trained


def _round_rows(name: str, done: PrunedRound) -> list[Row]:
    channels = ", ".join(f"{count} of {group}" for group, count in done.removed) or "none"
    blocks = [(f"{name}: blocks removed", ", ".join(done.blocks), "the study")]
    return [
        (f"{name}: channels removed", channels, "the study"),
        *(blocks if done.blocks else []),
        (f"{name}: cost left", f"{100 * done.cost_frac:.1f} %", "cost model"),
        (f"{name}: settings", f"`{done.settings}`", "the study"),
        (f"{name}: float weights", f"`{done.weights_sha256}`", "SHA-256"),
    ]
