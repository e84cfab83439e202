"""Whether the cheap levels rank candidates as the exact one does.

Random candidates of the quickstart study are trained at L0 and scored at L0, L1 and L2, on
the same chips; printed are their accuracies and the rank correlations (Spearman) of the levels.
Run: ``python benchmarks/level_ranks.py``; about four minutes on one core.
"""

import numpy as np
from numpy.typing import NDArray

from cimsearch.evaluate import Job
from cimsearch.evaluate.run import evaluate
from cimsearch.space import Candidate, Space
from cimsearch.spec import Study, load_study
from cimsearch.spec.study import Level

CANDIDATES, CHIPS = 16, 5
LEVELS: tuple[Level, ...] = ("L0", "L1", "L2")


def accuracy(study: Study, candidate: Candidate, level: Level, fingerprint: str) -> float:
    """Return the mean accuracy over chips, scored at ``level`` after training at L0."""
    rung = study.spec.rung.model_copy(update={"score_level": level, "chips": CHIPS})
    job = Job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=study.hardware,
        data=study.spec.data,
        data_path=None,
        data_fingerprint=fingerprint,
        recipe=study.spec.recipe,
        rung=rung,
        study_seed=study.spec.seed,
    )
    return evaluate(job).accuracy


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks of values, equal ones sharing theirs."""
    order = np.argsort(np.argsort(values))
    return np.array([order[values == value].mean() for value in values])


def main() -> None:
    """Print the report."""
    study = load_study("quickstart")
    space = Space(study.space)
    candidates = [space.decode(genes) for genes in space.sample_genes(CANDIDATES, 11)]
    print(f"{CANDIDATES} random candidates of {study.name}, {CHIPS} chips, trained at L0")
    found = []
    for candidate in candidates:
        found.append([accuracy(study, candidate, level, "digits") for level in LEVELS])
        print(
            "  ".join(
                f"{level} {100 * a:5.1f} %" for level, a in zip(LEVELS, found[-1], strict=True)
            )
        )
    columns = [ranks(column) for column in np.array(found).T]
    for index, level in enumerate(LEVELS[:-1]):
        rho = np.corrcoef(columns[index], columns[-1])[0, 1]
        gap = np.abs(np.array(found)[:, index] - np.array(found)[:, -1]).mean()
        print(f"{level} against L2: Spearman {rho:.3f}, mean distance {100 * gap:.1f} points")


if __name__ == "__main__":
    main()
