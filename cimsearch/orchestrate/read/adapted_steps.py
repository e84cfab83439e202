"""The steps of an adaptation: what is done with a network, and what came of it."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.pruning import PrunedNetwork, PruneJob
from cimsearch.space import Candidate
from cimsearch.spec.study import AccuracyStatistic
from cimsearch.store import records as db

Kind = Literal["trained", "pruned"]


@dataclass(frozen=True)
class Step:
    """One thing that is done with a network.

    Attributes:
        label: What it is called.
        kind: Trained through its hardware, or pruned.
        round: 0 before anything was pruned.
        candidate: The network that it is done with.
        work: The job.
        row: Its evaluation, once there is one.
    """

    label: str
    kind: Kind
    round: int
    candidate: Candidate
    work: Job | PruneJob
    row: db.EvaluationRow | None = None

    @property
    def done(self) -> bool:
        """Whether it has its result."""
        return self.row is not None and self.row.state == "done"

    @property
    def score(self) -> Score | None:
        """What training found, on validation images."""
        text = self.row.score if self.row and self.kind == "trained" else None
        return None if text is None else Score.from_json(text)

    @property
    def cost(self) -> Mapping[str, Any]:
        """The cost report of its network as plain data; empty before it has an evaluation."""
        return json.loads(self.row.cost) if self.row else {}

    @property
    def failure(self) -> str:
        """That it failed, and why; empty if it did not."""
        reason = self.row.fail_reason if self.row else None
        return f"failed: {reason}" if reason else ""

    @property
    def removed(self) -> tuple[tuple[str, int], ...]:
        """Channels that pruning took, by group; nothing where it has not pruned."""
        gone: Counter[str] = Counter()
        for step in self.pruned.history if self.pruned else ():
            gone.update(dict(step.removed))
        return tuple(sorted(gone.items()))

    @property
    def blocks(self) -> tuple[str, ...]:
        """Residual blocks that pruning took, in order; none where it has not pruned."""
        history = self.pruned.history if self.pruned else ()
        return tuple(block for step in history for block in step.blocks)

    @property
    def pruned(self) -> PrunedNetwork | None:
        """What pruning gave."""
        text = self.row.score if self.row and self.kind == "pruned" else None
        return None if text is None else PrunedNetwork.from_json(text)


@dataclass(frozen=True)
class Chain:
    """A network and what was done with it, in order; the last step may be open.

    Attributes:
        name: The trial's or the baseline's.
        steps: In order; all but the last are done.
        ended_by: Why nothing follows the last; empty while something does.
    """

    name: str
    steps: tuple[Step, ...]
    ended_by: str = ""

    @property
    def trained(self) -> tuple[Step, ...]:
        """The steps that have an accuracy."""
        return tuple(step for step in self.steps if step.score is not None)

    @property
    def is_waiting(self) -> bool:
        """Whether its last step is still to be done, or what follows is not known yet."""
        return not self.ended_by

    def best(self, least_accuracy: float, statistic: AccuracyStatistic) -> Step | None:
        """Return the last network that is accurate enough; the first one if none is."""
        good = [s for s in self.trained if accuracy_of(s, statistic) >= least_accuracy]
        return next(reversed(good), next(iter(self.trained), None))


def accuracy_of(step: Step, statistic: AccuracyStatistic) -> float:
    """Return a step's accuracy on validation images (0..1), by the study's statistic."""
    score = step.score
    return 0.0 if score is None else score.accuracy_by(statistic)
