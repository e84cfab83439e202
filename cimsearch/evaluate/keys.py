"""Under which keys trained networks are kept: hashes of all that their weights depend on.

``machine`` is the kind of machine, as ``Score.fingerprint`` tells it: other kinds may train other
bits. Which type is computed in follows from it and the network.
"""

from typing import Any

from cimsearch.evaluate.job import Job
from cimsearch.evaluate.version import code_hash
from cimsearch.spec.base import content_hash

# What of a recipe float training depends on.
FLOAT_FIELDS = ("batch", "parent_epochs", "parent_lr", "momentum", "weight_decay")


def parent_key(job: Job, machine: str) -> str:
    """Return the key of the job's trained float parent.

    One whose weights come from elsewhere is told by their SHA-256, under which they are kept.
    """
    return content_hash({"schema": "cimsearch/parent/1"} | _of_parent(job, machine))


def candidate_key(job: Job, machine: str) -> str:
    """Return the key of the job's trained candidate, ready to be scored at the rung's level.

    Jobs that differ only in chips, images, conditions or calibration of chips share it.
    """
    of = job.weights_of
    return content_hash(
        {"schema": "cimsearch/candidate/2"}
        | ({} if of is None else {"weights_of": candidate_key(of, machine)})
        | _of_parent(job, machine)
        | {
            "candidate": job.candidate_hash,
            "blueprint": job.blueprint.hash,
            "hardware": job.hardware.hash,
            "recipe": job.recipe.model_dump(mode="json"),
            "rungs": [rung.training for rung in (*job.earlier, job.rung)],
        }
    )


def _of_parent(job: Job, machine: str) -> dict[str, Any]:
    imported = {"parent_weights": job.parent_weights} if job.parent_weights else {}
    return imported | {
        "parent": job.parent.hash,
        "recipe": job.recipe.model_dump(mode="json", include=set(FLOAT_FIELDS)),
        "data": job.data.model_dump(mode="json", exclude={"path"}),
        "data_fingerprint": job.data_fingerprint,
        "study_seed": job.study_seed,
        "replicate": job.replicate,
        "code": code_hash(),
        "machine": machine,
    }
