"""Whether the cheap levels rank candidates as the exact one does.

Random candidates of the quickstart study are trained at L0 and scored at L0, L1 and L2, on
the same chips; printed are their accuracies and the rank correlations (Spearman) of the levels.
Once on the study's macro, once on the same with more effects, which L0 and L1 have from a fit.
Run: ``python benchmarks/level_ranks.py``; about twelve minutes on one core.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cimsearch.evaluate import Job
from cimsearch.evaluate.run import evaluate
from cimsearch.space import Candidate, Space
from cimsearch.spec import Study, load_study
from cimsearch.spec.cell_noise import DeviceToDevice, StuckCells
from cimsearch.spec.column_noise import AdcNoise, Saturation
from cimsearch.spec.hardware import Hardware
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


def with_effects(hardware: Hardware) -> Hardware:
    """Return a macro with devices, faults, saturation and converter errors of its own."""
    noise = hardware.macro.noise.model_copy(
        update={
            "device_to_device": DeviceToDevice(column_sigma_frac=0.03, chip_sigma_frac=0.03),
            "stuck": StuckCells(off_frac=0.002, on_frac=0.002),
            "saturation": Saturation(shape="tanh", at_frac=0.8),
            "adc": AdcNoise(offset_sigma_frac=0.005, gain_sigma_frac=0.02, inl_sigma_frac=0.003),
        }
    )
    macro = hardware.macro.model_copy(update={"noise": noise})
    return hardware.model_copy(update={"macro": macro})


def report(study: Study) -> None:
    """Print accuracies and rank correlations on the study's hardware."""
    space = Space(study.space)
    candidates = [space.decode(genes) for genes in space.sample_genes(CANDIDATES, 11)]
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


def main() -> None:
    """Print the report."""
    study = load_study("quickstart")
    print(f"{CANDIDATES} random candidates of {study.name}, {CHIPS} chips, trained at L0")
    report(study)
    print("the same with devices, stuck cells, saturation and errors of converters")
    report(replace(study, hardware=with_effects(study.hardware)))


if __name__ == "__main__":
    main()
