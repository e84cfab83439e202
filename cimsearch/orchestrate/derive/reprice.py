"""The networks of a study on other hardware: priced anew, their accuracies kept."""

import json
from contextlib import closing
from dataclasses import replace

from cimsearch.errors import UsageError
from cimsearch.orchestrate.derive.repricing import Repriced, Repricing
from cimsearch.orchestrate.run.stored import require_study, storage_url, stored_study
from cimsearch.spec import Hardware, Study, load_hardware
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.store.derived import add_derived, name_taken


def reprice(
    name: str, hardware: str, *, storage: str | None = None, new_name: str | None = None
) -> Repriced:
    """Price the trained networks of a study on other hardware; nothing is trained.

    The result is a study of its own in the same database, to be read like any other: its trials
    have their numbers, accuracies and scores, and the prices, constraints and front of the new
    hardware. A trial that cannot run there has failed in it, with the reason. Accuracies are stale
    where the two differ in what an accuracy depends on (``evaluate.scored``); ``rescore`` finds
    them anew.

    Args:
        name: The study's name in the database.
        hardware: A catalogue name or a path of a macro or system.
        storage: Database URL; see ``storage_url``.
        new_name: Name of the new study; ``NAME.HARDWARE`` if left out.

    Raises:
        StudyError: There is no such study, it has no trained trial, or the new name is taken.
        SpecError: The hardware is not found or not valid.
        HardwareError: No trained network can run there, or not the largest uniform one, which
            the reference point is of.
        UsageError: The study searches fields of its hardware, or the new name is none that a
            study may have.
    """
    machine = load_hardware(hardware)
    with closing(open_storage(storage_url(storage), create=False)) as database:
        row = require_study(database, name)
        old = stored_study(database, row)
        if old.machines is not None:
            raise UsageError(
                f"{name} searches fields of its hardware: a candidate is a network on a machine",
                "reprice takes studies of one machine; launch this one on the other hardware",
            )
        new = _study_on(old, machine, hardware, new_name or f"{name}.{machine.name}")
        if db.find_study(database, new.name) is not None:
            raise name_taken(new.name)
        repricing = Repricing(database, row, old, new)
        repricing.check_any()
        add_derived(database, repricing.derived())
        return repricing.told()


def _study_on(old: Study, machine: Hardware, hardware: str, name: str) -> Study:
    """Return the study as it is on ``machine``.

    Raises:
        UsageError: The name is none that a study may have.
    """
    summary = (
        f"{old.spec.summary}; the trials of {old.name} ({old.hardware.name}) priced on "
        f"{machine.name}: accuracies are those found on {old.hardware.name}, unless rescored"
    )
    parts = json.loads(replace(old, hardware=machine).to_json())
    parts["study"] |= {"name": name, "hardware": hardware, "summary": summary}
    try:
        return Study.from_json(json.dumps(parts))
    except ValueError as error:
        raise UsageError(
            f"--as: found {name!r}; allowed are up to 64 of a-z, 0-9, '_', '.' and '-', "
            "the first a letter or digit"
        ) from error
