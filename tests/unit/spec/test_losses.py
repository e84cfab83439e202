"""What a study file may say of losses beside that of the task."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import Study, load_hardware, load_study
from cimsearch.spec.array_call import ArrayCall
from cimsearch.spec.loss_faults import ones_cost
from cimsearch.spec.losses import NO_LOSSES, BitSparsity, Losses
from cimsearch.spec.recipe import Recipe
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

LOSSES = """\
  losses:
    bit_sparsity: {weight: 10.0, layers: "stage1.*", softness_frac: 0.2}
    binarisation: {weight: 1.0, ramp_frac: 0.25}
    range_shaping: {weight: 0.5, shape: peak, target: 2.0}
    noise_insensitivity: {weight: 1.0}
    adc_overflow: {weight: 2.0, range_frac: 0.9}
"""
RECIPE = "recipe:\n  batch: 128\n  parent_epochs: 2\n  parent_lr: 0.2\n  qat_lr: 0.05\n"


def study(losses: str = LOSSES, hardware: str = "macros/yu_cicc_2020") -> str:
    lines = [line for line in TINY_STUDY.strip().splitlines() if not line.startswith("recipe:")]
    if "yu" not in hardware:
        lines = [line for line in lines if not line.startswith("genes:")]
    text = "\n".join(lines).replace("macros/yu_cicc_2020", hardware)
    return f"{text}\n{RECIPE}{losses}"


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    return caught.value.message


def test_a_recipe_says_which_losses_with_which_weights(write: Write) -> None:
    loaded = load_study(str(write("a.yaml", study())))
    losses = loaded.spec.recipe.losses
    assert losses.bit_sparsity == BitSparsity(weight=10.0, layers="stage1.*", softness_frac=0.2)
    assert losses.range_shaping is not None
    assert losses.range_shaping.aim == 2.0
    assert losses.adc_overflow is not None
    assert (losses.adc_overflow.range_frac, losses.adc_overflow.layers) == (0.9, "*")
    assert Study.from_json(loaded.to_json()).spec.recipe == loaded.spec.recipe


def test_a_recipe_without_losses_is_the_one_it_was(write: Write) -> None:
    """To the byte, so that names of jobs and of trained networks stay as they were."""
    recipe = Recipe(batch=64, parent_epochs=2, parent_lr=0.2, qat_lr=0.05)
    assert recipe.losses == NO_LOSSES == Losses()
    assert "losses" not in recipe.model_dump(mode="json")
    spelled = Recipe.model_validate(dict(recipe) | {"losses": {}})
    assert spelled.canonical() == recipe.canonical()
    plain = load_study(str(write("a.yaml", TINY_STUDY)))
    assert load_study(str(write("b.yaml", study("  losses: {}\n")))).hash == plain.hash


def test_each_is_part_of_what_a_study_is(write: Write) -> None:
    lines = LOSSES.splitlines(keepends=True)
    texts = ["", *(lines[0] + line for line in lines[1:]), LOSSES]
    hashes = {load_study(str(write("a.yaml", study(text)))).hash for text in texts}
    assert len(hashes) == len(texts)


@pytest.mark.parametrize(
    ("old", "new", "where", "told"),
    [
        ("weight: 10.0", "weight: -1.0", "weight: -1", "recipe.losses.bit_sparsity.weight: fou"),
        ("{weight: 1.0}", "{}", "noise_insens", "recipe.losses.noise_insensitivity.weight: mis"),
        ("softness_frac: 0.2", "softness_frac: 0", "softness", "bit_sparsity.softness_frac: fou"),
        ("ramp_frac: 0.25", "ramp_frac: 2.0", "ramp_frac", "binarisation.ramp_frac: found 2"),
        ("shape: peak", "shape: flat", "shape", 'range_shaping.shape: found "flat"'),
        ("target: 2.0", "target: 0.5", "target", "range_shaping.target: found 0.5"),
        ("range_frac: 0.9", "range_frac: 0", "range_frac", "adc_overflow.range_frac: found 0"),
        ("range_frac: 0.9", "range: 0.9", "range: 0.9", "unknown field"),
        ("binarisation", "binarization", "binariz", "did you mean binarisation?"),
        ("stage1.*", "stage9.*", "layers", "losses.bit_sparsity.layers: found stage9.*; allowed"),
    ],
)
def test_errors_are_told_at_their_place(
    write: Write, old: str, new: str, where: str, told: str
) -> None:
    assert old in LOSSES
    path = write("tiny.yaml", study(LOSSES.replace(old, new, 1)))
    lines = path.read_text().splitlines()
    [row] = [number for number, line in enumerate(lines) if where in line and number > 15]
    message = refused(path)
    assert f"tiny.yaml:{row + 1}:{lines[row].index(where) + 1}: " in message
    assert told in message


DIGITAL = "macros/chih_isscc_2021"


@pytest.mark.parametrize(
    ("entry", "hardware", "told"),
    [
        ("adc_overflow", DIGITAL, "which is digital; allowed is a macro with converters"),
        ("noise_insensitivity", DIGITAL, "which is digital and has no noise; allowed is an an"),
        ("adc_overflow", "macros/jia_jssc_2020", "whose full scale holds every sum; allowed is"),
    ],
)
def test_what_can_change_nothing_on_the_hardware_is_refused_where_it_stands(
    write: Write, tmp_path: Path, entry: str, hardware: str, told: str
) -> None:
    text = study(f"  losses:\n    {entry}: {{weight: 1.0}}\n", hardware)
    path = write("a.yaml", text.replace("space: vgg_tiny", f"space: {space(tmp_path, '[4, 8]')}"))
    [line] = [n for n, each in enumerate(path.read_text().splitlines(), 1) if entry in each]
    message = refused(path)
    assert f"a.yaml:{line}:5: recipe.losses.{entry}: found one on " in message
    assert told in message


def space(folder: Path, weight_bits: str) -> str:
    """Write the tests' family with other bits of weights; return how a study calls it."""
    (folder / "space.yaml").write_text(
        "schema: cimsearch/space/1\nextends: vgg_tiny\nname: other\nsummary: other bits\n"
        f"source: a test\ngenes: {{weight_bits: {weight_bits}, activation_bits: [4, 8]}}\n"
    )
    return "./space.yaml"


def test_noise_of_training_is_noise_on_a_digital_macro(write: Write, tmp_path: Path) -> None:
    noise = "  noise: [{on: weights, sigma_frac: 0.1}]\n"
    text = study(f"{noise}  losses: {{noise_insensitivity: {{weight: 1.0}}}}\n", DIGITAL)
    text = text.replace("space: vgg_tiny", f"space: {space(tmp_path, '[4, 8]')}")
    recipe = load_study(str(write("a.yaml", text))).spec.recipe
    assert recipe.losses.noise_insensitivity is not None


def test_weights_of_one_size_need_layers_of_2_bits(write: Write, tmp_path: Path) -> None:
    text = study("  losses: {binarisation: {weight: 1.0}}\n")
    text = text.replace("space: vgg_tiny", f"space: {space(tmp_path, '[3, 4]')}")
    message = refused(write("a.yaml", text))
    assert "recipe.losses.binarisation: found weights of 3, 4, 8 bits; allowed is a sp" in message


def test_fewer_ones_are_refused_where_a_table_prices_the_cells(
    write: Write, tmp_path: Path
) -> None:
    points = "".join(
        f"    - {{bits: {bits}, rows: {rows}, activity_frac: {x}, energy_pj: 9.0, delay_ns: 9}}\n"
        for bits in (1, 5)
        for rows in (1, 64)
        for x in (0.0, 1.0)
    )
    (tmp_path / "table.yaml").write_text(
        "schema: cimsearch/hardware/1\nkind: macro\nextends: macros/yu_cicc_2020\nname: table\n"
        "summary: a table of calls\nsource: a test\ncalibration: null\n"
        "configurable: {range_policy: null}\nbasis: {array_call: assumed}\n"
        "array_call:\n  components: [cells, drivers, adc]\n  density_frac: 0.5\n  points:\n"
        + points
    )
    text = study("  losses: {bit_sparsity: {weight: 1.0}}\n")
    path = write("a.yaml", text.replace("hardware: macros/yu_cicc_2020", "hardware: ./table.yaml"))
    message = refused(path)
    assert "recipe.losses.bit_sparsity: found one on " in message
    assert "fewer ones save no energy there" in message


def test_ones_cost_where_the_cost_model_prices_what_cells_hold() -> None:
    analog, digital = (load_hardware(name).macro for name in ("macros/yu_cicc_2020", DIGITAL))

    def table(*components: str) -> ArrayCall:
        point = {"bits": 5, "rows": 64, "activity_frac": 0.5, "energy_pj": 1.0, "delay_ns": 1.0}
        return ArrayCall.model_validate_json(
            json.dumps({"components": components, "density_frac": 0.5, "points": [point]})
        )

    for macro, components, costs in (
        (analog, (), True),
        (digital, (), True),
        (analog, ("adc",), True),
        (analog, ("cells", "adc"), False),
        (digital, ("cells",), True),
        (digital, ("cells", "adder_tree"), False),
    ):
        simulated = table(*components) if components else None
        assert ones_cost(macro.model_copy(update={"array_call": simulated})) is costs
