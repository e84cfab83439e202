"""The model card: what was delivered, how good it is, what it costs, and where that is from."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from cimsearch.cost.credibility import NOMINAL_COVERAGE
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.distribution import TOLERANCE_CHIPS, Distribution, distribution
from cimsearch.export.card_tables import layer_rows, residual_rows, table
from cimsearch.export.inputs import Inputs
from cimsearch.export.origin import origin_rows, parent_epochs
from cimsearch.export.scores import SCORES, Scores
from cimsearch.export.scoring import chips_of, conditions_of
from cimsearch.export.subject import Subject
from cimsearch.spec.base import canonical_json
from cimsearch.spec.study import PERCENTILE_CHIPS
from cimsearch.units import quantity, show

Row = Sequence[str]

_AS_SEARCHED = "Its weights are those that the study scored on validation images."
_ANEW = (
    "Its weights were trained anew for the final scoring on test images, with training and chip "
    "seeds that the search never used: the test accuracy is theirs."
)
_SPLITS = {
    "validation": "validation images, which the search selected on: an accuracy on new images "
    "can be lower",
    "test": "test images, which the search never saw",
}
_LEVELS = {
    "L0": "fake quantisation with equivalent noise",
    "L1": "a converter at the sum of each row group",
    "L2": "every conversion, bit-serial and bit-sliced",
}
_RESIDUAL_HEAD = ("addition", "what waits for it", "bits it is kept in", "signed")
_COSTS = ("energy_pj", "latency_ns", "interval_ns", "area_um2")


def card(
    subject: Subject,
    scores: Scores,
    inputs: Inputs,
    notes: Iterable[str],
    no_graphs: str,
    files: Iterable[str],
) -> str:
    """Return the model card as Markdown.

    Args:
        subject: What is delivered.
        scores: Of the delivered network.
        inputs: Its images.
        notes: What is to be known of the scores.
        no_graphs: Why there is no ONNX file, or nothing.
        files: Names of the files beside it.
    """
    parts = [
        f"# {subject.study}, {subject.label}\n\n{_ANEW if subject.trained_anew else _AS_SEARCHED}",
        "\n".join(f"> Note: {note}." for note in notes),
        _origin(subject),
        _accuracy(subject, scores),
        _cost(subject),
        _network(subject),
        _training(subject, inputs),
        _files(files, no_graphs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(subject: Subject) -> str:
    rows = origin_rows(subject.study, subject.origin)
    return f"## Where it comes from\n\n{table(('fact', 'value', 'source'), rows)}"


def _accuracy(subject: Subject, scores: Scores) -> str:
    score, job = subject.score, subject.job
    found = distribution(scores.accuracy_per_chip, images=len(scores.ideal))
    chips = chips_of(job)
    intro = (
        f"{found.chips} chips (indices {chips.start} to {chips.stop - 1}), level {score.level} "
        f"({_LEVELS[score.level]}), {found.images} {_SPLITS[score.split]}."
    )
    if len(conditions_of(job)) > 1:
        intro += " Each chip counts with its worst condition."
    calibrated = _calibrated(score)
    head = ("figure", "value", "source")
    rows = [*_distribution_rows(found), *_other_rows(subject, scores)]
    return "\n\n".join(
        part
        for part in ("## Accuracy", intro, calibrated, table(head, rows), _conditions(scores))
        if part
    )


def _distribution_rows(found: Distribution) -> list[Row]:
    def needs(value: float | None, chips: int) -> str:
        return f"needs {chips} chips" if value is None else _percent(value)

    source = f"`{SCORES}`"
    return [
        ("mean over chips", _percent(found.mean), source),
        ("standard deviation of chips", needs(found.sample_std, 2), source),
        ("standard error, few chips", needs(found.chip_standard_error, 2), source),
        ("standard error, few images", _percent(found.image_standard_error), source),
        ("worst chip", _percent(found.worst), source),
        ("5th percentile of chips", needs(found.percentile_5, PERCENTILE_CHIPS), source),
        (
            "95 % of chips exceed, with confidence 95 %",
            needs(found.tolerance_95_95, TOLERANCE_CHIPS),
            source,
        ),
    ]


def _other_rows(subject: Subject, scores: Scores) -> list[Row]:
    same = f"`{SCORES}`, same images"
    rows: list[Row] = [
        ("with an ideal converter, no noise", _percent(scores.ideal_accuracy), same),
        ("float parent", _percent(subject.score.float_accuracy), "the study, same images"),
    ]
    if subject.job.split == "test":
        of = "other weights" if subject.trained_anew else "the same weights"
        source = f"the study: {subject.statistic} of its chips, {of}"
        rows.append(("on validation images", _percent(subject.validation_accuracy), source))
    return rows


def _calibrated(score: Score) -> str:
    """Return what is to be said where the study calibrated each chip."""
    if not score.shared_accuracy_per_chip:
        return ""
    after = distribution(score.accuracy_per_chip, images=score.images)
    return (
        "**What is delivered was fitted once for all chips.** The study also calibrated converter "
        f"ranges and batch norms to each chip, with {score.calibration_images} training images a "
        f"chip; the same chips then had a mean of {_percent(after.mean)} (worst "
        f"{_percent(after.worst)}; source: the study). These settings are not in this export, and "
        "`cimsearch verify` does not repeat them."
    )


def _conditions(scores: Scores) -> str:
    """Return the accuracy at each condition, where there are several."""
    if len(scores.conditions) == 1:
        return ""
    rows = [
        (label, _percent(fmean(accuracies)), _percent(min(accuracies)), f"`{SCORES}`")
        for label, accuracies in zip(scores.conditions, scores.accuracy_by_condition, strict=True)
    ]
    return table(("condition", "mean over chips", "worst chip", "source"), rows)


def _cost_rows(subject: Subject) -> list[Row]:
    cost, model = subject.cost, f"cost model, {subject.job.hardware.name}"
    return [
        *((quantity(name), show(name, cost[name]), model) for name in _COSTS),
        ("writing all cells, once", show("energy_pj", cost["programming_pj"]), model),
        ("utilization of arrays", _percent(cost["utilization"]), model),
        ("macros for one copy of all weights", str(cost["macros"]), model),
        ("precision on arrays", str(cost["precision"]) or "none", model),
    ]


def _cost(subject: Subject) -> str:
    cost = subject.cost
    factor, achieved = cost["band_factor"], cost["band_achieved_frac"]
    energy = cost["energy_pj"]
    held = "not measured" if achieved is None else f"{_percent(achieved)} of chips left out"
    lines = [
        "## Cost",
        "Modelled, energy and time per inference; none of it was measured on this network.",
        table(("figure", "value", "source"), _cost_rows(subject)),
        f"- Band of the macros' energy: the modelled one divided or multiplied by {factor:.3g}, "
        f"for {100 * NOMINAL_COVERAGE:g} % of chips; all energy so scaled is "
        f"{show('energy_pj', energy / factor)} to {show('energy_pj', energy * factor)}. Such a "
        f"band held for: {held}. Basis: {cost['band_basis']}.\n"
        f"- Not validated by any chip: {_percent(cost['unvalidated_frac'])} of the energy.\n"
        f"- Calibrated to measured points of this macro: {'yes' if cost['calibrated'] else 'no'}.",
        table(
            ("component", "energy", "share"),
            [
                (name, show("energy_pj", value), _percent(value / energy))
                for name, value in cost["components"].items()
                if value
            ],
        ),
    ]
    return "\n\n".join(lines)


def _network(subject: Subject) -> str:
    job = subject.job
    blueprint, hardware = job.blueprint, job.hardware
    head = ("layer", "op", "on", "outputs", "weights", "bits w / x / ADC", "encoding", "energy")
    facts = [
        ("weights", f"{blueprint.weights}", "blueprint"),
        ("multiply-accumulates of an inference", f"{blueprint.macs}", "blueprint"),
        ("input (channels, height, width)", f"{blueprint.input_shape}", "blueprint"),
        ("classes", f"{blueprint.classes}", "blueprint"),
        ("blueprint", f"`{blueprint.hash}`", "SHA-256"),
        ("candidate", f"`{job.candidate_hash}`", "SHA-256"),
        ("hardware", f"{hardware.name} in {hardware.system_name}", "catalogue"),
        ("hardware's content", f"`{hardware.hash}`", "SHA-256"),
    ]
    residuals = residual_rows(job)
    return "\n\n".join(
        (
            "## Network and hardware",
            f"{hardware.summary}. Source: {hardware.source}.",
            table(("fact", "value", "source"), facts + _choices("field", subject.settings)),
            table(head, layer_rows(job, subject.cost)),
            *((table(_RESIDUAL_HEAD, residuals),) if residuals else ()),
        )
    )


def _choices(kind: str, chosen: Mapping[str, int | float | str]) -> list[tuple[str, str, str]]:
    return [(f"{kind} {name}", str(value), "the study") for name, value in chosen.items()]


def _training(subject: Subject, inputs: Inputs) -> str:
    job = subject.job
    facts: list[Row] = [
        *_data(job, inputs),
        ("data's fingerprint", f"`{job.data_fingerprint}`", "SHA-256 of its files"),
        ("seed of the split", str(job.data.split_seed), "the study"),
        ("study seed, replicate", f"{job.study_seed}, {job.replicate}", "the study"),
        (
            "epochs of the float parent",
            parent_epochs(subject.origin, job.recipe.parent_epochs),
            "recipe",
        ),
        ("epochs of the network", str((job.weights_of or job).epochs), "rungs"),
        ("trained at level", job.rung.train_level, "rung"),
        ("recipe", f"`{canonical_json(job.recipe.model_dump(mode='json'))}`", "the study"),
        ("study's spec", f"`{subject.study_hash}`", "SHA-256"),
        ("score's key", f"`{subject.key}`", "SHA-256"),
        ("machine of the study", subject.score.fingerprint, "the study"),
        *_choices("gene", subject.genes),
    ]
    return f"## Training\n\n{table(('fact', 'value', 'source'), facts)}"


def _data(job: Job, inputs: Inputs) -> list[Row]:
    data = job.data
    augmented = canonical_json(data.augmentation.model_dump(mode="json"))
    shape = " x ".join(map(str, data.shape))
    counts = ", ".join(f"{part} {count}" for part, count in inputs.counts.items())
    shares = (
        f"validation {data.validation_frac:g} of the training images; test {data.test_frac:g} of "
        "all, where the data has no test part of its own"
    )
    described = f"{data.kind}, {data.classes} classes, images of {shape}"
    return [
        ("data", f"{described}, augmentation `{augmented}`", "the study"),
        ("input of the network", inputs.text, "the study and its data"),
        ("images", counts, "the data"),
        ("shares held out, of each class", shares, "the study"),
    ]


def _files(files: Iterable[str], no_graphs: str) -> str:
    listed = "\n".join(f"- `{name}`" for name in files)
    why = f"\n\nThere is no ONNX file: {no_graphs}." if no_graphs else ""
    return (
        f"## Files\n\n{listed}{why}\n\n"
        "`cimsearch verify DIR` checks every file against `manifest.json`, rebuilds the network "
        "from `integers.safetensors` alone, and scores the same chips on the same images."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
