"""Networks of two adaptations of one study: each is reached, and its card says what it is."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cimsearch.errors import DataError, StudyError
from cimsearch.evaluate import Job
from cimsearch.evaluate.pruning import is_prune_job
from cimsearch.evaluate.train import forget_parents
from cimsearch.export.origin import Origin, origin_rows, parent_epochs
from cimsearch.export.verify import verify_export
from cimsearch.orchestrate.adapt.adapt import adapt
from cimsearch.orchestrate.derive.deliver import deliver
from cimsearch.orchestrate.read.adaptation import Adapting
from cimsearch.spec import load_study
from cimsearch.spec.adaptation import Adaptation, FinalScoring, Pruning
from cimsearch.spec.study import Rung
from cimsearch.store import open_storage
from cimsearch.store import records as db
from cimsearch.workers import InlineExecutor
from tests.commands import cimsearch
from tests.once import run_once
from tests.studies import TINY_STUDY

HOW = Adaptation(
    networks=1,
    max_accuracy_drop=1.0,
    training=Rung(epochs=1, train_level="L0", score_level="L1", chips=1, images=50),
    pruning=Pruning(cost_frac=0.9, tune_epochs=0.1, images=64),
    rounds=2,
    test=FinalScoring(chips=2, images=50),
    changes=0,
)
LAST = HOW.model_copy(
    update={"pruning": Pruning(cost_frac=0.8, tune_epochs=0.1, images=64), "rounds": 1}
)


@dataclass(frozen=True)
class Adapted:
    """A study that was adapted twice: its folder, and both adaptations."""

    folder: Path
    first: Adapting
    last: Adapting

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'cimsearch.db'}"

    def rows(self) -> list[db.EvaluationRow]:
        """The networks that adaptations trained."""
        with closing(open_storage(self.url, create=False)) as database:
            (study,) = db.list_studies(database)
            rows = db.evaluations(database, study.id, role="adapted")
        return [row for row in rows if not is_prune_job(row.job)]


@pytest.fixture(scope="module")
def cache(finished_study: Path) -> Path:
    """Return where networks are kept: what the finished study has trained is not trained again."""
    return finished_study / "cache"


@pytest.fixture(scope="module")
def adapted(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    folder = tmp_path_factory.mktemp("adapted")
    (folder / "tiny.yaml").write_text(TINY_STUDY.replace("trials: 4", "trials: 2"))
    study = load_study(str(folder / "tiny.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIMSEARCH_CACHE", str(cache))
        first, last = (
            adapt(
                replace(study, spec=study.spec.model_copy(update={"adapt": how})),
                storage=f"sqlite:///{folder / 'cimsearch.db'}",
                executor=InlineExecutor(run_once),
            )
            for how in (HOW, LAST)
        )
    return Adapted(folder, first, last)


Deliver = Callable[[str], Path]


@pytest.fixture
def delivered(
    adapted: Adapted, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Deliver:
    """Return a function that delivers a network, and returns where."""
    monkeypatch.setenv("CIMSEARCH_CACHE", str(cache))

    def to(network: str) -> Path:
        deliver("tiny", network, tmp_path / "out", storage=adapted.url)
        return tmp_path / "out"

    return to


def test_a_name_means_the_last_adaptation(adapted: Adapted, delivered: Deliver) -> None:
    (chain,) = adapted.last.chains
    step = chain.steps[-1]
    assert step.label.endswith(", round 1: trained")
    out = delivered(step.label)
    found = Job.from_json((out / "job.json").read_text())
    assert found.blueprint == step.candidate.blueprint
    text = (out / "card.md").read_text()
    assert step.row is not None
    pruned = chain.steps[1]
    removed = ", ".join(f"{count} of {group}" for group, count in pruned.removed)
    for row in (
        f"| evaluation | #{step.row.id} of its database | the database |",
        f"| network | {chain.name} | the study |",
        "| step of its adaptation | round 1: trained | the study |",
        f"| round 1 of pruning: channels removed | {removed} | the study |",
        f"| round 1 of pruning: float weights | `{found.parent_weights}` | SHA-256 |",
        "| epochs of the float parent | 2; then pruned and tuned | recipe |",
    ):
        assert row in text, row
    assert '"cost_frac":0.8' in text
    assert '| adaptation | `{"changes":' in text
    assert "imported" not in text.split("## Accuracy")[0]


def test_an_earlier_adaptation_s_network_is_reached_by_its_number(
    adapted: Adapted, delivered: Deliver
) -> None:
    (chain,) = adapted.first.chains
    step = adapted.first.delivered()[chain.name]
    assert step.label.endswith(", round 2: trained")
    assert step.row is not None
    out = delivered(f"#{step.row.id}")
    found = Job.from_json((out / "job.json").read_text())
    assert found.blueprint == step.candidate.blueprint
    # It was scored on test images then, and that scoring is delivered.
    scores = json.loads((out / "scores.json").read_text())
    assert (scores["split"], len(scores["chips"])) == ("test", 2)
    assert scores["as_in_study"]
    assert verify_export(out).passed
    text = (out / "card.md").read_text()
    assert text.startswith(f"# tiny, {step.label}\n")
    for number, pruned in enumerate((s for s in chain.steps if s.kind == "pruned"), start=1):
        removed = ", ".join(f"{count} of {group}" for group, count in pruned.removed)
        assert f"| round {number} of pruning: channels removed | {removed} |" in text
        assert pruned.pruned is not None
        assert f"float weights | `{pruned.pruned.weights}`" in text
    assert "| adaptation |" not in text


def test_a_network_of_one_name_in_two_adaptations_is_told_apart(
    adapted: Adapted, delivered: Deliver
) -> None:
    """The first round of either; the first adaptation did not deliver its own."""
    (first, last) = (chain.steps[2] for a in (adapted.first, adapted.last) for chain in a.chains)
    assert first.label == last.label
    assert first.row is not None
    assert last.row is not None
    assert first.row.id != last.row.id
    out = delivered(f"#{first.row.id}")
    assert json.loads((out / "scores.json").read_text())["split"] == "validation"
    assert '"cost_frac":0.9' in (out / "card.md").read_text()


def test_numbers_of_trials_and_baselines_are_theirs(adapted: Adapted, delivered: Deliver) -> None:
    trial = adapted.last.result.trials[0]
    out = delivered(f"#{trial.evaluation_id}")
    text = (out / "card.md").read_text()
    assert text.startswith("# tiny, trial 0\n")
    assert "| network | trial 0 | the study |" in text
    assert "| epochs of the float parent | 2 | recipe |" in text
    assert "step of its adaptation" not in text


def test_what_has_no_name_is_listed_by_number(adapted: Adapted, tmp_path: Path) -> None:
    unnamed = {row.id for row in adapted.rows()} - {
        step.row.id
        for chain in (*adapted.last.baselines, *adapted.last.chains)
        for step in chain.steps
        if step.row is not None
    }
    assert len(unnamed) == 2
    for network in ("trial 9: trained", "#999999"):
        with pytest.raises(StudyError, match=f"tiny: no trained network .*{network}") as error:
            deliver("tiny", network, tmp_path / "out", storage=adapted.url)
        for chain in adapted.last.chains:
            assert f"; {chain.steps[0].label}; {chain.steps[-1].label}; #" in error.value.hint
        for number in unnamed:
            assert f"#{number} (trial " in error.value.hint
    with closing(open_storage(adapted.url, create=False)) as database:
        (study,) = db.list_studies(database)
        rows = db.evaluations(database, study.id)
    others = [row.id for row in rows if row.role == "test" or is_prune_job(row.job)]
    assert others
    with pytest.raises(StudyError, match=f"no trained network #{others[0]}"):
        deliver("tiny", f"#{others[0]}", tmp_path / "out", storage=adapted.url)


def test_pruned_weights_that_are_gone_are_not_made_by_launch(
    adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (chain,) = adapted.last.chains
    monkeypatch.setenv("CIMSEARCH_CACHE", str(tmp_path / "empty"))
    forget_parents()
    with pytest.raises(DataError, match=r"weights of the float parent .* are not in") as error:
        deliver("tiny", chain.steps[-1].label, tmp_path / "out", storage=adapted.url)
    assert "of a pruned one are made again by cimsearch adapt" in error.value.hint
    assert not (tmp_path / "out").exists()
    # That does help, in the cache that there is now.
    study = adapted.last.plan.study
    own = replace(study, spec=study.spec.model_copy(update={"adapt": LAST}))
    shutil.copytree(adapted.folder, tmp_path / "again")
    url = f"sqlite:///{tmp_path / 'again' / 'cimsearch.db'}"
    adapt(own, storage=url, executor=InlineExecutor())
    written = deliver("tiny", chain.steps[-1].label, tmp_path / "out", storage=url)
    assert written.scores.as_in_study


def test_a_trial_may_be_called_as_cards_call_it(finished_study: Path, tmp_path: Path) -> None:
    done = cimsearch(
        *("export", "tiny", "trial 0", "--to", str(tmp_path / "out")),
        cwd=finished_study,
        environment={"CIMSEARCH_CACHE": str(finished_study / "cache")},
    )
    assert "check it with" in done.stdout
    assert (tmp_path / "out" / "card.md").read_text().startswith("# tiny, trial 0\n")
    done = cimsearch(
        *("export", "tiny", "trial 99", "--to", str(tmp_path / "no")),
        cwd=finished_study,
        expect=1,
    )
    assert "tiny: no trial 99" in done.stderr


def test_an_imported_parent_was_not_trained_here() -> None:
    imported = Origin(evaluation=1, role="baseline", of="uniform 8 bit", imported_sha256="ab" * 32)
    assert parent_epochs(imported, 8) == "none: imported with its weights"
    rows = origin_rows("own", imported)
    assert ("baseline", "uniform 8 bit", "the study") in rows
    assert ("weights that it was imported with", f"`{'ab' * 32}`", "SHA-256") in rows
