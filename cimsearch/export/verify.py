"""Verifying an export: what it holds must agree, and give every prediction that it says."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cimsearch.errors import CimsearchError, DataError
from cimsearch.evaluate import Job
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.evaluate.report import OnReport, Report, unheard
from cimsearch.evaluate.version import code_hash
from cimsearch.export.checks import Agreement, Check, Verification
from cimsearch.export.consistency import (
    check_files,
    check_golden,
    check_integers,
    check_mapping,
)
from cimsearch.export.files import ExportError, Files, read_directory
from cimsearch.export.integers import use_ideal_statistics
from cimsearch.export.measured import ChipCodes, compared
from cimsearch.export.measured_file import read_codes
from cimsearch.export.scores import SCORES, Scores, scores_of
from cimsearch.export.scoring import (
    Predictions,
    accuracy_of,
    chips_of,
    conditions_of,
    ideal_predictions,
    predictions_of_chips,
    scored_images,
)
from cimsearch.export.stored import NEEDED, Stored
from cimsearch.training.data import Images
from cimsearch.training.fingerprint import fingerprint as data_fingerprint
from cimsearch.training.paths import resolve_path

_CONSISTENCY: dict[str, Callable[[Stored], Check]] = {
    "integers": check_integers,
    "mapping": check_mapping,
    "golden": check_golden,
}
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What reading parts of the wrong type, or computing with them, comes to."""


def verify_export(
    directory: Path, data: str | None = None, on_report: OnReport = unheard
) -> Verification:
    """Return whether an export is whole and gives the predictions that it says, image by image.

    The network is rebuilt from its integers; float weights are not used, and nothing is trained or
    calibrated. The first check that fails is the last.

    Args:
        directory: What ``write_export`` wrote.
        data: Where the data is, if on disk; see ``resolve_path``.
        on_report: Hears of every chip.

    Raises:
        UsageError: There is no such export.
        ExportError: Its manifest is damaged.
        DataError: The data is missing or other data than the export's.
    """
    keep_freed_memory()
    with one_thread():
        files = read_directory(directory, needed=NEEDED)
        checks, stored = consistency(files)
        agreements: tuple[Agreement, ...] = ()
        if all(check.passed for check in checks):

            def replay() -> Check:
                nonlocal agreements
                agreements, check = _replayed(stored, data, on_report)
                return check

            checks.append(_guarded("replay", replay))
    return Verification(
        study=files.manifest.study,
        network=files.manifest.network,
        checks=tuple(checks),
        agreements=agreements,
        notes=_notes(files, stored if agreements else None),
    )


def compare_codes(directory: Path, measured: Path) -> ChipCodes:
    """Return the codes of a chip beside those that an export expects; no image is needed.

    Args:
        directory: What ``write_export`` wrote.
        measured: The chip's codes for golden vectors, a CSV file; see ``measured_file``.

    Raises:
        UsageError: There is no such export or file.
        ExportError: The export is not as it was written.
        SpecError: The file is not as it should be; with line and column.
    """
    with one_thread():
        checks, stored = consistency(read_directory(directory, needed=NEEDED))
        faults = [fault for check in checks for fault in check.faults]
        if faults:
            raise ExportError("\n".join(faults), "compare with an export that is whole")
        return compared(read_codes(measured), stored)


def consistency(files: Files) -> tuple[list[Check], Stored]:
    """Return the checks that need no images, up to the first that fails."""
    checks, stored = [check_files(files)], Stored(files)
    for name, check in _CONSISTENCY.items():
        if checks[-1].passed:
            checks.append(_guarded(name, partial(check, stored)))
    return checks, stored


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Return a check; what it cannot read is a fault. Missing data is not one of the export."""
    try:
        return check()
    except DataError:
        raise
    except CimsearchError as error:
        return Check(name, (error.message,), "")
    except _UNREADABLE as error:
        # A manifest can be made for anything: parts may be of any type and size.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, (f"not as cimsearch writes it: {reason}",), "")


def _replayed(
    stored: Stored, data: str | None, on_report: OnReport
) -> tuple[tuple[Agreement, ...], Check]:
    """Return how far the predictions of the rebuilt network are those of the export."""
    job = _with_data(stored.job, data)
    images, network = scored_images(job), stored.network
    _check_shape(stored.scores, job, images)

    def told(done: int) -> None:
        on_report(Report("chips", done, job.rung.chips))

    chips = predictions_of_chips(network, images, job, told)
    use_ideal_statistics(network, stored.tensors)
    ideal = ideal_predictions(network, images, job)
    again = scores_of(job, stored.scores.study, images, chips, ideal)
    agreements = tuple(_agreements(again, stored.scores, images))
    return agreements, _check_replay(stored, again, agreements)


def _with_data(job: Job, data: str | None) -> Job:
    """Return a job with the place of its data here.

    Raises:
        DataError: It is missing, or other data.
    """
    path = resolve_path(job.data, data, beside=None)
    found = data_fingerprint(job.data, path)
    if found != job.data_fingerprint:
        raise DataError(
            f"{path or job.data.kind}: not the data of the export: its fingerprint is "
            f"{found[:12]}, not {job.data_fingerprint[:12]}",
            "name the place of the same files with --data",
        )
    return replace(job, data_path=path)


def _check_shape(scores: Scores, job: Job, images: Images) -> None:
    """Check that scores are of a job's chips, conditions and images.

    Raises:
        ExportError: They are not.
    """
    conditions, study = len(conditions_of(job)), scores.study
    said = [p for chip in scores.chips for p in chip.by_condition] + [scores.ideal]
    if (
        [chip.chip for chip in scores.chips] != list(chips_of(job))
        or any(len(chip.by_condition) != conditions for chip in scores.chips)
        or any(len(predictions) != len(images.y) for predictions in said)
    ):
        raise ExportError(
            f"{SCORES}: not of the job's {job.rung.chips} chips at {conditions} conditions on "
            f"{len(images.y)} images"
        )
    wanted = job.rung.score_level, job.split, len(images.y)
    if (study.level, study.split, study.images) != wanted:
        raise ExportError(
            f"{SCORES}: the study's score is of {study.images} {study.split} images at level "
            f"{study.level}; the job is of {wanted[2]} {wanted[1]} images at level {wanted[0]}"
        )


def _agreements(again: Scores, stated: Scores, images: Images) -> Iterator[Agreement]:
    for chip, wanted in zip(again.chips, stated.chips, strict=True):
        by_condition = again.conditions, chip.by_condition, wanted.by_condition
        for label, said, expected in zip(*by_condition, strict=True):
            yield _agreement(chip.chip, label, said, expected, images)
    yield _agreement(None, "ideal converter", again.ideal, stated.ideal, images)


def _agreement(
    chip: int | None, condition: str, said: Predictions, wanted: Predictions, images: Images
) -> Agreement:
    same = [one == other for one, other in zip(said, wanted, strict=True)]
    return Agreement(
        chip=chip,
        condition=condition,
        images=len(said),
        agreed=sum(same),
        first_difference=None if all(same) else same.index(False),
        accuracy=accuracy_of(said, images),
    )


def _check_replay(stored: Stored, again: Scores, agreements: Sequence[Agreement]) -> Check:
    """Return whether every prediction agrees, and what is stated of them."""
    faults = [
        f"{_who(each)}: {each.images - each.agreed} of {each.images} predictions differ, first "
        f"that of image {each.first_difference}"
        for each in agreements
        if each.agreed < each.images
    ]
    if not faults and _stated(again) != _stated(stored.scores):
        faults.append(f"{SCORES}: its accuracies are not those of its predictions")
    if not faults:
        faults += _other_facts(stored, again)
    rung = stored.job.rung
    found = (
        f"every prediction of {rung.chips} chips at level {rung.score_level} on "
        f"{len(again.ideal)} {stored.job.split} images is the same"
    )
    return Check("replay", tuple(faults), found)


def _stated(scores: Scores) -> tuple[object, ...]:
    """Return what is said of predictions."""
    of_chips = scores.accuracy_by_condition, scores.accuracy_per_chip
    return scores.conditions, *of_chips, scores.ideal_accuracy, scores.as_in_study


def _other_facts(stored: Stored, again: Scores) -> list[str]:
    """Return a line if the file of scores says something else besides.

    What the study has of the network is a record, which another version may have written.
    """
    found: dict[str, Any] = stored.files.json(SCORES)
    here = replace(again, machine=stored.scores.machine, code=stored.scores.code).to_dict()
    made = json.loads(json.dumps(here | {"study_score": found["study_score"]}))
    names = made.keys() | found.keys()
    right = {name for name in made.keys() & found.keys() if made[name] == found[name]}
    wrong = ", ".join(sorted(names - right))
    return [f"{SCORES}: {wrong}: not what the replay says"] if wrong else []


def _who(each: Agreement) -> str:
    return each.condition if each.chip is None else f"chip {each.chip} {each.condition}"


def _notes(files: Files, stored: Stored | None) -> tuple[str, ...]:
    """Return what is to be known of where the export comes from, and what is not there."""
    about = files.manifest.about
    notes = [f"{line}: not needed to replay it" for line in files.left_out]
    if files.unnamed:
        named = ", ".join(files.unnamed)
        notes.append(f"not in the manifest, so nothing is known of it: {named}")
    if stored is not None and stored.job.calibration == "per_chip":
        notes.append(
            "the study calibrated each chip; this is the network before it, fitted once for all"
        )
    if about.get("machine") != fingerprint():
        notes.append(
            f"this is another kind of machine ({fingerprint()}) than the one that exported it "
            f"({about.get('machine')}): sums may differ in their last bits, and a prediction with "
            "them"
        )
    if about.get("code") != code_hash():
        notes.append("it was exported by other sources of cimsearch, which may compute otherwise")
    return tuple(notes)
