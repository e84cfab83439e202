"""The networks that ``cifar10_adapt.py`` compares: what all begin with, what stands beside."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import cast

import torch
from step_time import resnet8

from cimsearch.api import estimate
from cimsearch.errors import UsageError
from cimsearch.evaluate import Job
from cimsearch.evaluate.machine import keep_freed_memory, one_thread, training_dtype
from cimsearch.networks import build
from cimsearch.networks.weights import load_weights, weights_file
from cimsearch.orchestrate.imported.bring import write_network
from cimsearch.seeds import torch_seed
from cimsearch.space import AnySpace, Candidate
from cimsearch.space.network_family import network_spec
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import Hardware
from cimsearch.spec.hardware import RangePolicy
from cimsearch.spec.space import LayerGenes
from cimsearch.spec.study import StudySpec
from cimsearch.training.data import load_part, resolve_path
from cimsearch.training.recipe import TrainingData, train_float

SCALES = 64
"""A uniformly narrower network has this many times less of its widths, in whole parts."""

HEAD = {
    "name": "resnet8_float",
    "summary": "ResNet-8 with the widths of MLPerf Tiny, trained in floating point",
    "source": "benchmarks/cifar10_adapt.py",
}
# Converters sweep all columns of an array, used or not, and a column holds one bit of a weight: on
# 128 columns 8 bits of 16 channels take as many conversions as 4, and 8 bits of 32 as 5.
GENES = LayerGenes(
    weight_bits=(4, 8),
    activation_bits=(3, 4, 6),
    prune_ratio=(0.0, 0.125, 0.25, 0.375),
)


def space_file(spec: StudySpec, to: Path, weights: Path | None) -> None:
    """Write the space of the float network, with its weights beside it, unless it is there.

    Args:
        spec: The study, whose data it is trained with as its recipe says.
        to: ``NAME.yaml``.
        weights: A file of trained weights; None trains them.

    Raises:
        UsageError: The space is there, with other weights.
    """
    if to.exists() and weights is None:
        return
    content = weights.read_bytes() if weights else trained(spec)
    network = build(resnet8().parent, None, generator=torch.Generator())
    load_weights(network, content)
    content = weights_file(network)
    digest = sha256(content).hexdigest()
    if not to.exists():
        whole = network_spec(resnet8().parent, GENES, HEAD, weights_sha256=digest)
        write_network(whole, content, to)
    elif digest not in to.read_text():
        raise UsageError(
            f"--parent: found other weights than those of {to}; allowed are the same",
            "name another folder with --work, or leave --parent out",
        )


def trained(spec: StudySpec) -> bytes:
    """Return the weights of a float network trained with the study's training images."""
    keep_freed_memory()
    path = resolve_path(spec.data, None, beside=None)
    training = TrainingData(load_part(spec.data, path, "train"), spec.data)
    generator = torch.Generator().manual_seed(torch_seed("benchmark", "adapt parent", spec.seed))
    network = build(resnet8().parent, None, generator=generator)
    network.dtype = training_dtype(network.blueprint.macs)
    with one_thread():
        train_float(network, training, spec.recipe, generator=generator)
    network.dtype = torch.float32
    return weights_file(network)


@dataclass(frozen=True)
class Uniform:
    """One uniform setting of all searched layers, weights and activations alike."""

    bits: int
    adc_bits: int
    range_policy: RangePolicy

    def candidate(self, space: AnySpace) -> Candidate:
        """Return the network that has it, nothing pruned."""
        return space.uniform(
            weight_bits=self.bits,
            activation_bits=self.bits,
            adc_bits=self.adc_bits,
            range_policy=self.range_policy,
        )

    def __str__(self) -> str:
        policy = self.range_policy.replace("_", " ")
        return f"uniform {self.bits} bit, ADC {self.adc_bits} bit, {policy} range"


def uniforms(hardware: Hardware) -> Iterator[Uniform]:
    """Yield what the macro can do at 8 and at 4 bit."""
    macro = hardware.macro
    for bits in (8, 4):
        for adc_bits in macro.choices("adc_bits"):
            for policy in macro.choices("range_policy"):
                yield Uniform(bits, int(adc_bits), cast(RangePolicy, policy))


def narrower(whole: Candidate, hardware: Hardware, most_pj: float) -> Candidate:
    """Return the widest network of a uniform one's bits that takes at most ``most_pj``.

    All its widths are the same share of the whole's.
    """
    widths = widths_of(whole.blueprint)
    for part in range(SCALES, 0, -1):
        scaled = {name: max(1, round(width * part / SCALES)) for name, width in widths.items()}
        found = replace(
            whole,
            blueprint=with_widths(whole.blueprint, scaled),
            parent=with_widths(whole.parent, scaled),
        )
        if estimate(found, hardware).energy_pj <= most_pj:
            return found
    raise SystemExit(f"no network of these bits takes {most_pj / 1e6:.1f} uJ or less")


def in_short(job: Job) -> Job:
    """Return the same after one epoch, at L1 on 5 chips: many networks are compared by that."""
    short = {"epochs": 1, "score_level": "L1", "chips": 5}
    return replace(job, rung=job.rung.model_copy(update=short))


def of_candidate(job: Job, candidate: Candidate) -> Job:
    """Return the job of another candidate, all else the same."""
    return replace(
        job,
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
    )
