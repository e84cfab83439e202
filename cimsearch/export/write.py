"""Writing an export: the network is trained or read, scored again, and written as integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from cimsearch import __version__
from cimsearch.errors import StudyError
from cimsearch.evaluate import Job
from cimsearch.evaluate.calibration import NORM_BATCH
from cimsearch.evaluate.images import images_of, source_of
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.evaluate.report import OnReport, Report, unheard
from cimsearch.evaluate.train import trained_candidate, trained_parent
from cimsearch.export.card import card
from cimsearch.export.files import (
    CARD,
    FLOAT_WEIGHTS,
    check_target,
    readable_json,
    write_directory,
)
from cimsearch.export.golden import GOLDEN, description, golden_tensors, input_vectors
from cimsearch.export.graphs import graph_files
from cimsearch.export.inputs import inputs_of
from cimsearch.export.integers import INTEGERS, ideal_tensors, network_tensors
from cimsearch.export.layers import layers_in_arrays
from cimsearch.export.mapping import MAPPING, mapping, plan_of
from cimsearch.export.scores import SCORES, Scores, scores_of
from cimsearch.export.scoring import ideal_predictions, predictions_of_chips, scored_images
from cimsearch.export.stored import BLUEPRINT, GOLDEN_TEXT, HARDWARE, JOB
from cimsearch.export.subject import Subject
from cimsearch.networks import Network, recalibrate_norms
from cimsearch.spec.base import canonical_json
from cimsearch.training.keep import Keep
from cimsearch.training.recipe import TrainingData


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        directory: Where.
        scores: What was scored of the network on the way.
        sizes_bytes: By file name; the manifest is not counted.
        notes: What is to be known of it, a line each.
    """

    directory: Path
    scores: Scores
    sizes_bytes: Mapping[str, int]
    notes: tuple[str, ...]


def write_export(subject: Subject, directory: Path, on_report: OnReport = unheard) -> Written:
    """Write a trained network as a directory, which appears whole or not at all.

    Its weights are those that the study has scored: kept ones are read, others trained again.

    Args:
        subject: What to deliver.
        directory: A new directory, or an empty one.
        on_report: Hears how far it is.

    Raises:
        UsageError: There is something in ``directory`` already.
        StudyError: The network does not score again as the study says.
        CimsearchError: The data is missing or not as declared, or training diverged.
    """
    check_target(directory)
    keep_freed_memory()
    with one_thread():
        contents, scores, notes = _contents(subject, on_report)
    about = {
        "study": subject.study,
        "network": subject.label,
        "cimsearch": __version__,
        "code": scores.code,
        "machine": scores.machine,
        "key": subject.key,
    }
    write_directory(directory, contents, about)
    sizes = {name: len(content) for name, content in contents.items()}
    return Written(directory, scores, sizes, notes)


def _contents(
    subject: Subject, on_report: OnReport
) -> tuple[dict[str, bytes], Scores, tuple[str, ...]]:
    """Return what the files hold, the scores, and what is to be known of them."""
    job = subject.job
    network, sample = _trained(job, on_report)
    floats = {name: values.clone() for name, values in network.state_dict().items()}
    tensors = network_tensors(network)
    images = scored_images(job)
    chips = predictions_of_chips(network, images, job, _told(job, on_report))
    vectors = input_vectors(network, sample)
    # Batch norms that were fitted through a coarse converter do not fit an ideal one.
    network.set_mode(job.rung.score_level, ideal=True)
    recalibrate_norms(network, torch.split(sample, NORM_BATCH))
    tensors |= ideal_tensors(network)
    ideal = ideal_predictions(network, images, job)
    scores = scores_of(job, subject.score, images, chips, ideal)
    notes = _notes(subject, scores)
    inputs = inputs_of(job)
    graphs, no_graphs = graph_files(network, inputs.text)
    contents = {
        FLOAT_WEIGHTS: _tensor_file(floats),
        INTEGERS: _tensor_file(tensors),
        BLUEPRINT: readable_json(job.blueprint.to_dict()),
        HARDWARE: readable_json(job.hardware.model_dump(mode="json")),
        JOB: _line(_portable(job).to_json()),
        SCORES: _line(canonical_json(scores.to_dict())),
        **_of_arrays(job, network, tensors, vectors),
        **graphs,
    }
    text = card(subject, scores, inputs, notes, no_graphs, sorted(contents))
    return contents | {CARD: text.encode()}, scores, notes


def _trained(job: Job, on_report: OnReport) -> tuple[Network, Tensor]:
    """Return the network as it was scored, and the images that its batch norms were fitted to."""
    training = TrainingData(images_of(source_of(job), "train"), job.data)
    keep = Keep.at(job.cache)
    parent = trained_parent(job, training, keep, on_report)
    return trained_candidate(job, parent, training, keep, on_report)


def _portable(job: Job) -> Job:
    """Return a job without the places of things on this machine."""
    data = job.data
    if getattr(data, "path", None) is not None:
        data = data.model_copy(update={"path": None})
    return replace(job, data=data, data_path=None, cache=None)


def _told(job: Job, on_report: OnReport) -> Callable[[int], None]:
    return lambda done: on_report(Report("chips", done, job.rung.chips))


def _of_arrays(
    job: Job, network: Network, tensors: dict[str, Tensor], vectors: dict[str, Tensor]
) -> dict[str, bytes]:
    """Return the files that say what is in which array, and what it makes of some inputs."""
    layers = {layer.name: layer for layer in layers_in_arrays(network, tensors)}
    plan = plan_of(job.blueprint, job.hardware, layers)
    return {
        MAPPING: readable_json(mapping(job.blueprint, job.hardware, layers, tensors)),
        GOLDEN: _tensor_file(golden_tensors(plan, layers, vectors)),
        GOLDEN_TEXT: readable_json(description(plan, layers)),
    }


def _notes(subject: Subject, scores: Scores) -> tuple[str, ...]:
    """Return what is to be known where the network does not score again as the study says.

    Raises:
        StudyError: It does not, and nothing explains it.
    """
    if scores.as_in_study:
        return ()
    reasons = []
    if subject.score.fingerprint != fingerprint():
        reasons.append(
            f"the study scored it on another kind of machine ({subject.score.fingerprint}), "
            f"this is {scores.machine}"
        )
    if subject.key != subject.job.key:
        reasons.append("the study scored it with other sources of cimsearch, or it was imported")
    if not reasons:
        found, wanted = scores.accuracy_per_chip, subject.score.accuracy_per_chip
        raise StudyError(
            f"{subject.label} of {subject.study} does not score again as it did: chips "
            f"{list(found)}, in the study {list(wanted)}",
            "clear the cache (CIMSEARCH_CACHE) and try again; if it stays so, report it",
        )
    return tuple(f"its accuracies are not the study's to the last image: {r}" for r in reasons)


def _tensor_file(tensors: dict[str, Tensor]) -> bytes:
    content: bytes = save({name: values.contiguous() for name, values in tensors.items()})
    return content


def _line(text: str) -> bytes:
    return f"{text}\n".encode()
