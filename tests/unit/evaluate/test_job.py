"""Jobs and scores as values: what their keys cover, what they refuse."""

from dataclasses import replace

import pytest

from cimsearch.evaluate import Job, Score
from tests.golden.test_contracts import a_job, a_score


def test_key_covers_what_the_score_depends_on() -> None:
    job = a_job()
    different = [
        replace(job, study_seed=8),
        replace(job, replicate=1),
        replace(job, first_chip=1000),
        replace(job, split="test"),
        replace(job, data_fingerprint="0" * 64),
        replace(job, recipe=job.recipe.model_copy(update={"batch": 32})),
        replace(job, rung=job.rung.model_copy(update={"chips": 3})),
        replace(job, blueprint=job.parent),
    ]
    assert len({job.key, *(other.key for other in different)}) == len(different) + 1


def test_key_leaves_out_where_things_are_and_what_they_are_called() -> None:
    job = a_job()
    moved = replace(
        job,
        data_path="elsewhere",
        cache="elsewhere",
        hardware=job.hardware.model_copy(update={"name": "other", "summary": "other"}),
    )
    assert moved.key == job.key


def test_statistics_over_chips() -> None:
    score = a_score()
    assert score.accuracy == 0.625
    assert score.accuracy_std == 0.125
    assert score.accuracy_worst == 0.5


def test_other_schemas_are_refused() -> None:
    with pytest.raises(ValueError, match="job schema is 'x'"):
        Job.from_json('{"schema": "x"}')
    with pytest.raises(ValueError, match="score schema is None"):
        Score.from_json("{}")
