"""A macro whose chips differ in gain, age and follow their supply, and jobs on it."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from cimsearch.evaluate import Job
from cimsearch.spec import Hardware, load_hardware
from cimsearch.spec.hardware import Noise
from cimsearch.spec.study import Recipe
from tests.unit.evaluate.test_run import SPACE, job

PVT = {"gain_per_supply_frac": 1.0, "process_sigma_frac": 0.3, "gain_per_c": 0.002}
DRIFT = {"model": "power_law", "nu_mean": 0.06, "nu_sigma": 0.02}


def hardware(name: str, **noise: Any) -> Hardware:
    """The macro ``name`` with these effects and no other."""
    loaded = load_hardware(name)
    update = {"noise": Noise.model_validate(noise)}
    return loaded.model_copy(update={"macro": loaded.macro.model_copy(update=update)})


KEPT = f"memory://{uuid4()}"
"""Where networks are kept that differ in how they are scored alone: they are trained once."""

SRAM = hardware("macros/yu_cicc_2020", cell_sigma_frac=0.02, pvt=PVT)


def uniform_job(**changes: Any) -> Job:
    """A job that trains the uniform 4-bit network for a few seconds."""
    candidate = SPACE.uniform(weight_bits=4, activation_bits=4)
    trained = job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=SRAM,
        recipe=Recipe(batch=64, parent_epochs=4, parent_lr=0.2, qat_lr=0.05),
    )
    return replace(trained, **changes)
