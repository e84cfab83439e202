"""What a study file may say of training beside weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_study
from cimsearch.spec.recipe import Distillation, NoiseEntry
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

RECIPE = """\
recipe:
  batch: 128
  parent_epochs: 2
  parent_lr: 0.2
  qat_lr: 0.05
  steps: learned
  partial_sum_steps: learned
  noise:
    - {on: weights, sigma_frac: 0.05}
    - {on: partial_sums, sigma_frac: 0.01, layers: "stage1.*", every: 4}
  distillation: {weight: 0.5, temperature: 4.0}
"""


def study(recipe: str = RECIPE) -> str:
    lines = TINY_STUDY.strip().splitlines()
    kept = [line for line in lines if not line.startswith("recipe:")]
    return "\n".join(kept).replace("train_level: L0", "train_level: L1") + "\n" + recipe


def test_a_recipe_says_what_is_learned_with_which_noise_and_teacher(write: Write) -> None:
    loaded = load_study(str(write("a.yaml", study())))
    recipe = loaded.spec.recipe
    assert (recipe.steps, recipe.partial_sum_steps) == ("learned", "learned")
    assert recipe.noise == (
        NoiseEntry(on="weights", sigma_frac=0.05, layers="*", every=1),
        NoiseEntry(on="partial_sums", sigma_frac=0.01, layers="stage1.*", every=4),
    )
    assert recipe.distillation == Distillation(weight=0.5, temperature=4.0)
    assert Study.from_json(loaded.to_json()).spec.recipe == recipe


def test_everything_is_off_by_default_and_part_of_what_a_study_is(write: Write) -> None:
    default = load_study(str(write("a.yaml", TINY_STUDY)))
    recipe = default.spec.recipe
    assert (recipe.steps, recipe.partial_sum_steps) == ("calibrated", "calibrated")
    assert (recipe.noise, recipe.distillation) == ((), None)
    changed = [
        RECIPE,
        RECIPE.replace("every: 4", "every: 5"),
        RECIPE.replace("weight: 0.5", "weight: 0.6"),
        RECIPE.replace("  steps: learned\n", ""),
        RECIPE.replace("  partial_sum_steps: learned\n", ""),
    ]
    hashes = {load_study(str(write("b.yaml", study(text)))).hash for text in changed}
    assert len(hashes | {default.hash}) == 1 + len(changed)


def test_a_pattern_tells_upper_from_lower_case() -> None:
    entry = NoiseEntry(on="weights", sigma_frac=0.1, layers="stage?.layer0")
    assert entry.of("stage1.layer0")
    assert not entry.of("Stage1.layer0")
    assert not entry.of("stage1.layer1")


@pytest.mark.parametrize(
    ("old", "new", "where", "told"),
    [
        ("  steps: learned", "  steps: lsq", "  steps: lsq", 'recipe.steps: found "lsq"'),
        ("partial_sum_steps: l", "partial_sum_step: l", "  partial_sum_step", "unknown field"),
        ("on: weights", "on: bias", "on: bias", 'recipe.noise.0.on: found "bias"'),
        ("0.05}", "0}", "sigma_frac: 0}", "recipe.noise.0.sigma_frac: found 0"),
        ("0.05}", "1.5}", "sigma_frac: 1.5", "recipe.noise.0.sigma_frac: found 1.5"),
        ('"stage1.*"', '""', 'layers: ""', "recipe.noise.1.layers"),
        ("every: 4", "every: 0", "every: 0", "recipe.noise.1.every: found 0"),
        ("every: 4", "evry: 4", "evry: 4", "unknown field; did you mean every?"),
        ("weight: 0.5", "weight: 1.5", "weight: 1.5", "recipe.distillation.weight: found 1.5"),
        ("temperature: 4.0", "temperature: 0", "temperature: 0", "distillation.temperature: fo"),
        (", temperature: 4.0", "", "  distillation", "recipe.distillation.temperature: missing"),
    ],
)
def test_errors_are_told_at_their_place(
    write: Write, old: str, new: str, where: str, told: str
) -> None:
    assert old in RECIPE
    path = write("tiny.yaml", study(RECIPE.replace(old, new, 1)))
    lines = path.read_text().splitlines()
    [row] = [number for number, line in enumerate(lines) if where in line]
    column = lines[row].index(where.strip()) + 1
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    assert f"tiny.yaml:{row + 1}:{column}: " in caught.value.message
    assert told in caught.value.message


def test_what_can_have_no_effect_is_refused_where_it_stands(write: Write) -> None:
    text = study(RECIPE.replace("stage1.*", "stage9.*")).replace(
        "train_level: L1", "train_level: L0"
    )
    path = write("a.yaml", text)
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    noise, level = caught.value.message.splitlines()
    lines = text.splitlines()
    line = next(i for i, each in enumerate(lines, 1) if "stage9" in each)
    assert f"a.yaml:{line}:" in noise
    assert "recipe.noise.1.layers: found stage9.*; allowed is a pattern that matches" in noise
    line = next(i for i, each in enumerate(lines, 1) if "partial_sum_steps" in each)
    assert f"a.yaml:{line}:" in level
    assert "partial_sum_steps: found learned at train_level L0; allowed is L1" in level


def test_a_fixed_range_cannot_be_learned(write: Write, tmp_path: Path) -> None:
    (tmp_path / "fixed.yaml").write_text(
        "schema: cimsearch/hardware/1\nkind: macro\nextends: macros/yu_cicc_2020\nname: fixed\n"
        "summary: a fixed range\nsource: a test\nadc: {range_policy: full_scale}\n"
        "configurable: {range_policy: null}\n"
    )
    text = study().replace("hardware: macros/yu_cicc_2020", "hardware: ./fixed.yaml")
    with pytest.raises(SpecError, match=r"partial_sum_steps: found learned beside range_policy"):
        load_study(str(write("a.yaml", text)))
