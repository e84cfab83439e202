"""What the hardware leaves of a trained network before any search: its post-training accuracy."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from cimsearch.errors import DataError, UsageError
from cimsearch.evaluate import Job, Score
from cimsearch.evaluate.report import OnReport, unheard
from cimsearch.evaluate.run import evaluate
from cimsearch.orchestrate.run.parents import SUFFIX, read_weights
from cimsearch.orchestrate.run.sources import Source
from cimsearch.space import Candidate
from cimsearch.spec import Hardware
from cimsearch.spec.catalogue import find, load_document, names
from cimsearch.spec.network import AnySpaceSpec, NetworkSpec
from cimsearch.spec.recipe import Recipe
from cimsearch.spec.rung import Level, Rung
from cimsearch.spec.settings import with_settings
from cimsearch.spec.study import DataSpec, StudySpec
from cimsearch.spec.validation import validate
from cimsearch.training.data import check_readable
from cimsearch.training.fingerprint import fingerprint
from cimsearch.training.keep import Keep
from cimsearch.training.parents import keep_parent
from cimsearch.training.paths import resolve_path

_DATA: TypeAdapter[DataSpec] = TypeAdapter(DataSpec)

# Nothing is trained: only what the recipe says of calibration counts.
_UNTRAINED = Recipe(batch=64, parent_epochs=1, parent_lr=0.1, qat_lr=0.05)


@dataclass(frozen=True)
class Trial:
    """How an accuracy is found.

    Attributes:
        level: Fidelity.
        chips: How many are drawn.
        images: Of the validation part.
    """

    level: Level = "L1"
    chips: int = 5
    images: int | Literal["all"] = "all"


def post_training(
    name: str,
    spec: AnySpaceSpec,
    candidate: Candidate,
    hardware: Hardware,
    data: str,
    trial: Trial,
    on_report: OnReport = unheard,
) -> Score:
    """Return the accuracy of an imported network on hardware that it was not trained for.

    Converter ranges and batch norms are fitted to training images; weights stay as they came.
    Images are those of the validation part.

    Args:
        name: The space, as it was named.
        spec: The same, loaded.
        candidate: The network of it, with its bits.
        hardware: What it runs on.
        data: ``digits``, a study whose data it is, ``module:name`` of a function that returns
            arrays, or a path.
        trial: Level, chips and images.
        on_report: Hears of each chip.

    Raises:
        UsageError: The space has no weights.
        DataError: The data, or the file of the weights, is missing or not as declared.
        HardwareError: The hardware cannot run the network.
    """
    if not isinstance(spec, NetworkSpec) or not spec.weights_sha256:
        raise UsageError(
            f"{name}: has no trained weights, so it has no accuracy yet",
            "leave out --data, or bring in a trained network with: cimsearch network import",
        )
    declared, path = data_of(data, spec)
    check_readable(declared, path)
    weights = find("spaces", name).with_suffix(SUFFIX)
    digest = keep_parent(Keep.at(None), read_weights(weights, spec.weights_sha256))
    source = Source(path, fingerprint(declared, path))
    job = _job(candidate, with_settings(hardware, candidate.settings), declared, source, trial)
    return evaluate(replace(job, parent_weights=digest), on_report)


def _job(
    candidate: Candidate, hardware: Hardware, data: DataSpec, source: Source, trial: Trial
) -> Job:
    """Return the job that scores a candidate without training it."""
    rung = Rung(
        epochs=0,
        train_level="L0",
        score_level=trial.level,
        chips=trial.chips,
        images=trial.images,
    )
    return Job(
        candidate_hash=candidate.hash,
        blueprint=candidate.blueprint,
        parent=candidate.parent,
        hardware=hardware,
        data=data,
        data_path=source.path,
        data_fingerprint=source.fingerprint,
        recipe=_UNTRAINED,
        rung=rung,
        study_seed=0,
    )


def data_of(text: str, spec: AnySpaceSpec) -> tuple[DataSpec, str | None]:
    """Return the data that ``text`` names, and where it lies if it is on disk.

    Raises:
        DataError: There is none, or it is of other images than the space's.
    """
    if text.endswith(".yaml") or text in names("studies"):
        return _of_study(text, spec)
    plain: dict[str, Any] = {"shape": spec.input_shape, "classes": spec.classes}
    if text == "digits":
        return _DATA.validate_python(plain | {"kind": "digits"}), None
    path = Path(text).expanduser()
    if path.is_file() and path.suffix != ".npz":
        raise DataError(
            f"--data: found the file {text}; of files a .npz is allowed",
            "name a folder of images by its directory, a function of a module as module:function",
        )
    if path.exists():
        found = _DATA.validate_python(plain | {"kind": _kind_of(path), "path": text})
        return found, str(path.resolve())
    if ":" in text and "/" not in text:
        return _DATA.validate_python(plain | {"kind": "import", "target": text}), None
    raise DataError(
        f"--data: found {text!r}; allowed are digits, a study, module:function, or a path that "
        "is there"
    )


def _of_study(text: str, spec: AnySpaceSpec) -> tuple[DataSpec, str | None]:
    document = load_document("studies", text)
    data = validate(StudySpec, document).data
    if (data.shape, data.classes) != (spec.input_shape, spec.classes):
        found = f"found {list(data.shape)} and {data.classes} classes"
        raise DataError(
            f"--data: {text}: {found}; {spec.name} takes {list(spec.input_shape)} and has "
            f"{spec.classes} classes"
        )
    return data, resolve_path(data, None, beside=document.path)


def _kind_of(path: Path) -> str:
    """Return which kind of data lies at a path."""
    if path.suffix == ".npz" or (path.is_dir() and any(path.glob("*.npz"))):
        return "npz"
    return "parquet" if path.is_dir() and any(path.glob("train*.parquet")) else "folder"
