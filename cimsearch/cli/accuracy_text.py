"""An accuracy as a distribution over chips, for people and for programs."""

from typing import TYPE_CHECKING, Any

import click

from cimsearch.cli.output import percent

if TYPE_CHECKING:
    from cimsearch.evaluate import Score


def score_facts(score: "Score | None", *, target: float | None = None) -> dict[str, Any] | None:
    """Return a score as plain data for JSON, with the yield at ``target`` if one is given."""
    from cimsearch.evaluate.distribution import yield_at

    if score is None:
        return None
    facts = {
        "level": score.level,
        "images": score.images,
        "accuracy_per_chip": list(score.accuracy_per_chip),
        "accuracy_std": score.accuracy_std,
        "accuracy_worst": score.accuracy_worst,
        "conditions": [
            {
                "condition": part.label,
                "accuracy_per_chip": list(part.accuracy_per_chip),
                "accuracy": part.accuracy,
                "accuracy_worst": part.accuracy_worst,
            }
            for part in score.conditions
        ],
        "workloads": [
            {
                "workload": part.name,
                "images": part.images,
                "accuracy_per_chip": list(part.accuracy_per_chip),
                "accuracy": part.accuracy,
                "ideal_accuracy": part.ideal_accuracy,
                "float_accuracy": part.float_accuracy,
            }
            for part in score.workloads
        ],
        "shared_accuracy_per_chip": list(score.shared_accuracy_per_chip),
        "shared_accuracy": score.shared_accuracy,
        "calibration_images": score.calibration_images,
        "calibration_cpu_seconds": score.calibration_cpu_seconds,
        "distribution": score.distribution.to_dict(),
        "ideal_accuracy": score.ideal_accuracy,
        "float_accuracy": score.float_accuracy,
        "epochs": score.epochs,
        "parent_epochs": score.parent_epochs,
        "cpu_seconds": score.cpu_seconds,
    }
    if target is not None:
        facts["yield"] = yield_at(target, score.accuracy_per_chip).to_dict()
    return facts


def accuracy_lines(score: "Score", *, target: float | None = None) -> list[tuple[str, str]]:
    """Return (quantity, value) lines of what the chips of a score tell."""
    from cimsearch.evaluate.distribution import TOLERANCE_CHIPS, yield_at
    from cimsearch.spec.study import PERCENTILE_CHIPS

    found = score.distribution
    chips = "1 chip" if found.chips == 1 else f"{found.chips} chips"
    robust = worst_of(len(score.conditions))
    lines = [
        ("mean over chips", f"{percent(found.mean)} ({chips}, level {score.level}{robust})"),
        ("chip standard error", _or_needs(found.chip_standard_error, 2)),
        (
            "image standard error",
            f"{percent(found.image_standard_error)} ({found.images} images, the same for all)",
        ),
        ("worst chip", percent(found.worst)),
        ("5th percentile", _or_needs(found.percentile_5, PERCENTILE_CHIPS)),
        ("95 %/95 % lower bound", _or_needs(found.tolerance_95_95, TOLERANCE_CHIPS)),
    ]
    if target is not None:
        part = yield_at(target, score.accuracy_per_chip)
        lines.append(
            (
                f"yield at {percent(target)}",
                f"{percent(part.yield_frac)} ({part.passed} of {chips}; 95 % interval "
                f"{percent(part.low)} to {percent(part.high)})",
            )
        )
    return lines + _calibration_lines(score) + _condition_lines(score) + _workload_lines(score)


def worst_of(conditions: int) -> str:
    """Return what is to be said of chips that were scored at so many conditions, if any."""
    return f", each at the worst of {conditions} conditions" if conditions > 1 else ""


def _calibration_lines(score: "Score") -> list[tuple[str, str]]:
    """Return what calibrating each chip cost and brought, if it was done."""
    if score.shared_accuracy is None:
        return []
    chips = len(score.accuracy_per_chip)
    return [
        (
            "fitted once for all",
            f"{percent(score.shared_accuracy)} (mean of the same chips; worst "
            f"{percent(min(score.shared_accuracy_per_chip))})",
        ),
        (
            "calibrating each chip",
            f"{score.calibration_images} training images, "
            f"{score.calibration_cpu_seconds / chips:.2g} CPU s a chip",
        ),
    ]


def _condition_lines(score: "Score") -> list[tuple[str, str]]:
    """Return mean and worst of the chips at each condition."""
    return [
        (
            f"at {part.label}" if part.label != "as stated" else part.label,
            f"mean {percent(part.accuracy)}, worst {percent(part.accuracy_worst)}",
        )
        for part in score.conditions
    ]


def _workload_lines(score: "Score") -> list[tuple[str, str]]:
    """Return mean and worst of the chips for each workload, where there are several."""
    return [
        (
            f"workload {part.name}",
            f"mean {percent(part.accuracy)}, worst {percent(min(part.accuracy_per_chip))} "
            f"({part.images} images)",
        )
        for part in score.workloads
    ]


def print_accuracy(title: str, score: "Score", *, target: float | None = None) -> None:
    """Print what the chips of a score tell."""
    click.echo(f"  {title}")
    lines = accuracy_lines(score, target=target)
    width = max(22, *(len(key) for key, _ in lines))
    for key, value in lines:
        click.echo(f"    {key:{width}} {value}")


def _or_needs(value: float | None, chips: int) -> str:
    return percent(value) if value is not None else f"needs {chips} chips"
