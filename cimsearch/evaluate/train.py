"""Training a job's networks: its float parent, then the candidate.

Either is trained once and kept; a training that was interrupted goes on where its last checkpoint
is. A network has the same bits whichever way it came about.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from time import monotonic

import torch
from torch import Tensor

from cimsearch.evaluate.calibration import NORM_BATCH
from cimsearch.evaluate.job import Job
from cimsearch.evaluate.keys import candidate_key, parent_key
from cimsearch.evaluate.machine import fingerprint, training_dtype
from cimsearch.evaluate.report import OnReport, Report, Stage
from cimsearch.networks import Network, build, recalibrate_norms
from cimsearch.networks.anchors import anchor_norms
from cimsearch.networks.weights import load_weights
from cimsearch.seeds import Key, torch_seed
from cimsearch.training.checkpoint import Course, State, from_bytes, to_bytes
from cimsearch.training.keep import Keep, Kind
from cimsearch.training.parents import kept_parent
from cimsearch.training.prune import inherit
from cimsearch.training.recipe import TrainingData, train_candidate, train_float

CALIBRATION_IMAGES = 256
NORM_IMAGES = 1024

CHECKPOINT_S = 60.0
"""A training is written down at the end of an epoch, but no more often than this."""

_MOST_PARENTS = 16
_parents: OrderedDict[str, Network] = OrderedDict()


def trained_parent(job: Job, training: TrainingData, keep: Keep, on_report: OnReport) -> Network:
    """Return the job's trained float parent, which several jobs share: it is not to be changed.

    Of processes that want the same one at the same time, one trains it. One that was trained
    elsewhere is read from what is kept.

    Raises:
        CimsearchError: Training diverged.
        DataError: The weights from elsewhere are not kept, or not of the parent's network.
    """
    key = parent_key(job, fingerprint())
    found = _parents.get(key)
    if found is None and job.parent_weights:
        found = _imported_parent(job, training, keep)
    elif found is None:
        found = _parent(job, key, training, keep, on_report)
    _parents[key] = found
    _parents.move_to_end(key)
    while len(_parents) > _MOST_PARENTS:
        _parents.popitem(last=False)
    return found


def forget_parents() -> None:
    """Forget the parents that this process has trained or read."""
    _parents.clear()


def trained_candidate(
    job: Job, parent: Network, training: TrainingData, keep: Keep, on_report: OnReport
) -> tuple[Network, Tensor]:
    """Return the candidate, ready to be scored, and the images its batch norms were fitted to.

    At every rung it is built, and calibrated, as it was for the first; from the second on it then
    goes on from the weights that the last one left. A network that another one was changed into
    begins with that one's trained weights instead of the parent's.

    Raises:
        CimsearchError: The hardware cannot run the network, or training diverged.
    """
    rung, key = job.rung, candidate_key(job, fingerprint())
    generator = _generator(*_stream_of(job))
    network = build(job.blueprint, job.hardware.macro, generator=generator)
    inherit(network, _with_weights_for(job, parent, training, keep, on_report))
    network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
    with keep.hold(key, wait=False) as alive:
        trained = _kept(keep, "candidates", key)
        log = _Log(keep, key, "candidate", rung.epochs, on_report, alive)
        begin = trained or log.last() or _after_earlier(job, parent, training, keep, on_report)
        network.dtype = training_dtype(job.parent.macs)
        train_candidate(
            network,
            training,
            job.recipe,
            epochs=rung.epochs,
            level=rung.train_level,
            generator=generator,
            teacher=parent,
            course=Course(begin, log.after_epoch),
        )
        network.dtype = torch.float32
        stream = generator.get_state()
        network.calibrate(training.sample(CALIBRATION_IMAGES, generator))
        network.set_mode(rung.score_level)
        sample = training.sample(NORM_IMAGES, generator)
        recalibrate_norms(network, torch.split(sample, NORM_BATCH))
        if trained is None:
            state = State(rung.epochs, network.state_dict(), {}, stream)
            about = {"candidate": job.candidate_hash, "layers": _steps(network)}
            log.done("candidates", state, about)
    return network, sample


def _stream_of(job: Job) -> tuple[Key, ...]:
    """Return the name of the stream that the job's candidate is built with, as at its first rung.

    A first rung also trains with it; a later one with a stream of its own. All networks that one
    was changed into have the same: what they are calibrated with is no difference between them.
    """
    if job.weights_of is not None:
        return *_stream_of(job.weights_of), "changed"
    first = (*job.earlier, job.rung)[0]
    of_candidate = (job.study_seed, job.candidate_hash, first.epochs, first.train_level)
    return "train", *of_candidate, job.replicate


def _with_weights_for(
    job: Job, parent: Network, training: TrainingData, keep: Keep, on_report: OnReport
) -> Network:
    """Return the trained network whose weights the job's candidate begins with."""
    if job.weights_of is None:
        return parent
    network, _ = trained_candidate(job.weights_of, parent, training, keep, on_report)
    return network


def _after_earlier(
    job: Job, parent: Network, training: TrainingData, keep: Keep, on_report: OnReport
) -> State | None:
    """Return where a training begins that goes on from an earlier rung; None at the first."""
    if job.before is None:
        return None
    kept = _kept(keep, "candidates", candidate_key(job.before, fingerprint()))
    if kept is not None:
        weights = kept.weights
    else:
        network, _ = trained_candidate(job.before, parent, training, keep, on_report)
        weights = network.state_dict()
    later = [(rung.epochs, rung.train_level) for rung in (*job.earlier[1:], job.rung)]
    own = _generator(*_stream_of(job), "then", *chain.from_iterable(later))
    return State(0, weights, {}, own.get_state())


def _parent(
    job: Job, key: str, training: TrainingData, keep: Keep, on_report: OnReport
) -> Network:
    """Return the parent as it is kept; trained, if it is not."""
    generator = _generator("parent", job.study_seed, job.parent.hash, job.replicate)
    network = build(job.parent, None, generator=generator)
    kept = _kept(keep, "parents", key)
    if kept is None:
        with keep.hold(key, wait=True) as alive:
            # Whoever had the lock before may have trained it.
            kept = _kept(keep, "parents", key)
            if kept is None:
                log = _Log(keep, key, "parent", job.recipe.parent_epochs, on_report, alive)
                _train_parent(job, network, training, generator, log)
                return network
    network.load_state_dict(kept.weights)
    return network.eval()


def _imported_parent(job: Job, training: TrainingData, keep: Keep) -> Network:
    """Return a parent that was trained elsewhere, its batch norms on this data.

    Raises:
        DataError: Its weights are not kept, or not of its network.
    """
    generator = _generator("parent", job.study_seed, job.parent.hash, job.replicate)
    network = build(job.parent, None, generator=generator)
    load_weights(network, kept_parent(keep, job.parent_weights))
    sample = training.sample(NORM_IMAGES, generator)
    anchor_norms(network, torch.split(sample, NORM_BATCH))
    return network


def _train_parent(
    job: Job, network: Network, training: TrainingData, generator: torch.Generator, log: "_Log"
) -> None:
    network.dtype = training_dtype(job.parent.macs)
    course = Course(log.last(), log.after_epoch)
    train_float(network, training, job.recipe, generator=generator, course=course)
    network.dtype = torch.float32
    state = State(job.recipe.parent_epochs, network.state_dict(), {}, generator.get_state())
    log.done("parents", state)


@dataclass
class _Log:
    """What is reported and written down of one training.

    Attributes:
        keep: Where it is written.
        key: Of what is trained.
        stage: How reports call it.
        epochs: How long it is.
        on_report: Hears of each epoch.
        alive: Called after each epoch.
        written_s: When it was last written down, on the monotonic clock.
    """

    keep: Keep
    key: str
    stage: Stage
    epochs: int
    on_report: OnReport
    alive: Callable[[], None]
    written_s: float = field(default_factory=monotonic)

    def last(self) -> State | None:
        """Return where an interrupted training of the same was last written down."""
        return _kept(self.keep, "unfinished", self.key)

    def after_epoch(self, epoch: int, accuracy: float, state: Callable[[], State]) -> None:
        """Report an epoch, and write down where the training is if it is time to."""
        self.alive()
        if epoch < self.epochs and monotonic() - self.written_s >= CHECKPOINT_S:
            self.keep.put("unfinished", self.key, to_bytes(state(), self.key))
            self.written_s = monotonic()
        self.on_report(Report(self.stage, epoch, self.epochs, accuracy))

    def done(self, kind: Kind, state: State, about: dict[str, str] | None = None) -> None:
        """Keep the trained network; its checkpoint is of no more use."""
        self.keep.put(kind, self.key, to_bytes(state, self.key, about))
        self.keep.drop("unfinished", self.key)


def _kept(keep: Keep, kind: Kind, key: str) -> State | None:
    content = keep.get(kind, key)
    return None if content is None else from_bytes(content)


def _steps(network: Network) -> str:
    """Return the steps of all that is quantised as JSON: what codes stand for, beside weights."""
    steps = {
        layer.name: {"x_scale": layer.x_scale, "w_share": layer.w_share}
        for layer in network.cim_layers()
    }
    waiting = {operand.name: {"x_scale": operand.x_scale} for operand in network.operands()}
    return json.dumps(steps | waiting)


def _generator(*path: Key) -> torch.Generator:
    return torch.Generator().manual_seed(torch_seed(*path))
