"""YAML with positions, extends, and error messages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import load_hardware, load_space_spec, load_study
from cimsearch.spec.catalogue import find, load_document, names, roots
from cimsearch.spec.document import Position, merge, read_document
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

SPACE = """\
schema: cimsearch/space/1
name: mine
summary: a space
source: a test
family: vgg
input_shape: [1, 8, 8]
classes: 10
stages:
  - {width: [8], depth: [1, 2], downsample: true}
genes:
  weight_bits: [2, 4]
  activation_bits: [4]
  prune_ratio: [0.0, 0.5]
first_layer: {placement: digital, bits: 8}
classifier: {placement: digital, bits: 8}
"""


def message(path: Path, load: Callable[[str], object] = load_space_spec) -> str:
    with pytest.raises(SpecError) as caught:
        load(str(path))
    return caught.value.message.replace(str(path), path.name)


def test_positions_are_where_the_keys_stand(write: Write) -> None:
    document = read_document(write("a.yaml", "a: 1\nb:\n  - x: 2\n    y: 1e-7\n"))
    assert document.data == {"a": 1, "b": [{"x": 2, "y": 1e-7}]}
    assert document.position(("b", 0, "y")) == Position(str(document.path), 4, 5)
    assert document.position(("b", 0, "missing")).line == 3


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "family: vgg",
            "family: vvg",
            "5:1: family: found \"vvg\"; allowed is 'vgg', 'resnet', 'separable' or "
            "'inverted_residual'; did you mean vgg?",
        ),
        (
            "weight_bits",
            "wieght_bits",
            "mine.yaml:11:3: genes.wieght_bits: unknown field; did you mean weight_bits?",
        ),
        (
            "classes: 10",
            "classes: ten",
            'mine.yaml:7:1: classes: found "ten"; allowed is a valid integer',
        ),
        (
            "classes: 10",
            "classes: 10.5",
            "mine.yaml:7:1: classes: found 10.5; allowed is a valid integer",
        ),
        (
            "classes: 10",
            "classes: 1",
            "mine.yaml:7:1: classes: found 1; allowed is greater than or equal to 2",
        ),
        (
            "[0.0, 0.5]",
            "[0.0, 1.0]",
            "mine.yaml:13:22: genes.prune_ratio.1: found 1.0; allowed is 0 to less than 1",
        ),
        (
            "[2, 4]",
            "[1, 2]",
            "genes.weight_bits.0: found 1; allowed is 0 or 2 to 16",
        ),
        ("width: [8]", "width: [8, 8]", "stages.0.width: found a repeated choice in [8, 8]"),
        ("[2, 4]", "[2, 2]", "genes.weight_bits: found a repeated choice in [2, 2]"),
        (
            "[2, 4]",
            "[2, 40]",
            "genes.weight_bits.1: found 40; allowed is 0 or 2 to 16",
        ),
        ("classes: 10\n", "", "mine.yaml:1:1: classes: missing; this field is needed"),
        ("schema: cimsearch/space/1", "schema: cimsearch/space/9", "mine.yaml:1:1: schema: found"),
        ("name: mine", "name: My Space", 'mine.yaml:2:1: name: found "My Space"'),
    ],
)
def test_every_error_says_where_what_and_what_is_allowed(
    write: Write, old: str, new: str, expected: str
) -> None:
    assert old in SPACE
    assert expected in message(write("mine.yaml", SPACE.replace(old, new, 1)))


def test_all_errors_are_told_at_once_in_the_order_of_the_file(write: Write) -> None:
    text = SPACE.replace("family: vgg", "family: gvv").replace("classes: 10", "classes: 0")
    lines = message(write("mine.yaml", text)).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["family", "classes"]


def test_yaml_faults_have_a_position(write: Write) -> None:
    assert ":2:1: " in message(write("a.yaml", "a: 1\na: 2\n"))
    assert ":1:" in message(write("b.yaml", "a: [1, 2\n"))
    assert "a mapping of fields is wanted" in message(write("c.yaml", "- 1\n"))
    with pytest.raises(SpecError, match="no such file"):
        load_space_spec("./nowhere.yaml")


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean vgg_tiny") as caught:
        load_space_spec("vgg_tin")
    assert "resnet8" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a: 1\nb: \x00\n", "2:4: found the character U+0000, which YAML does not allow"),
        (b"a: 1\r\nb: \x01\r\n", "2:4: found the character U+0001, which YAML does not allow"),
        (b"a: \xc3\xa9 \x07\n", "1:6: found the character U+0007, which YAML does not allow"),
        (b"a: 1\nname: \xc3\xa9\xe9\n", "2:8: found the byte 0xE9; allowed is text in UTF-8"),
        (b"\xff\xfea\x00", "1:1: found the byte 0xFF; allowed is text in UTF-8"),
    ],
)
def test_what_is_no_text_has_a_position(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    assert message(path) == f"a.yaml:{expected}"


def test_faults_that_are_not_of_syntax_are_told_too(write: Write) -> None:
    assert "merge keys (<<) are not allowed" in message(
        write("b.yaml", "base: &b {x: 1}\nc:\n  <<: *b\n")
    )


def test_end_layers_must_fit_the_macro(write: Write) -> None:
    write(
        "space.yaml",
        (SPACE.replace("{placement: digital, bits: 8}", "{placement: cim, bits: 12}", 1)),
    )
    text = TINY_STUDY.replace("space: vgg_tiny", "space: ./space.yaml")
    found = message(write("tiny.yaml", text), load_study)
    assert "first_layer has 12 bits on the macro" in found
    assert "weight_bits may be 8 at most" in found


def test_extends_merges_and_errors_point_into_the_parent(write: Write) -> None:
    write("base.yaml", SPACE.replace("[2, 4]", "[2, 99]"))
    child = write("child.yaml", "extends: ./base.yaml\nname: child\n")
    assert "base.yaml:11:20: genes.weight_bits.1" in message(child)
    merged = load_document(
        "spaces", str(write("good.yaml", "extends: ./base.yaml\ngenes:\n  weight_bits: [3]\n"))
    )
    assert merged.data["genes"]["weight_bits"] == [3]
    assert merged.data["genes"]["activation_bits"] == [4]


def test_a_replaced_list_leaves_no_stale_positions(write: Write) -> None:
    parent = read_document(write("p.yaml", "a: [1, 2, 3]\n"))
    child = read_document(write("c.yaml", "a: [9]\n"))
    merged = merge(parent, child)
    assert merged.data == {"a": [9]}
    assert merged.position(("a", 2)).file.endswith("c.yaml")


def test_a_mapping_of_another_kind_is_replaced(write: Write) -> None:
    write("p.yaml", "kind: top\nmodel: {kind: ramp, step_fj: 1.0}\n")
    child = write("c.yaml", "extends: ./p.yaml\nkind: bottom\nmodel: {kind: sar, k1_ff: 2.0}\n")
    assert load_document("spaces", str(child)).data == {
        "kind": "bottom",
        "model": {"kind": "sar", "k1_ff": 2.0},
    }


def test_a_null_drops_what_the_parent_says(write: Write) -> None:
    parent = read_document(write("p.yaml", "a: {x: 1, y: [1, 2]}\nb: 2\n"))
    child = read_document(write("c.yaml", "a:\n  y: null\nb: null\nc: null\n"))
    merged = merge(parent, child)
    assert merged.data == {"a": {"x": 1}, "c": None}
    assert merged.position(("a", "x")).file.endswith("p.yaml")
    # Nothing of the parent's is left below; a dropped field that is needed is told at the null.
    assert merged.position(("a", "y", 1)) == Position(str(child.path), 2, 3)
    assert merged.position(("b",)) == Position(str(child.path), 3, 1)


def test_what_a_null_drops_stays_dropped_over_two_levels(write: Write) -> None:
    write("a.yaml", "b: 1\nc: 2\n")
    write("b.yaml", "extends: ./a.yaml\nd: 3\n")
    child = write("c.yaml", "extends: ./b.yaml\nb: null\n")
    assert load_document("spaces", str(child)).data == {"c": 2, "d": 3}
    write("b.yaml", "extends: ./a.yaml\nb: null\n")
    again = write("c.yaml", "extends: ./b.yaml\nb: 4\n")
    assert load_document("spaces", str(again)).data == {"b": 4, "c": 2}


@pytest.mark.parametrize(
    ("parents", "chain"),
    [
        ({"my_a": "my_a"}, "my_a -> my_a"),
        ({"my_a": "my_b", "my_b": "my_a"}, "my_a -> my_b -> my_a"),
        ({"my_a": "my_b", "my_b": "my_b"}, "my_a -> my_b -> my_b"),
        (
            {"my_a": "my_b", "my_b": "my_c", "my_c": "my_a"},
            "my_a -> my_b -> my_c -> my_a",
        ),
    ],
)
def test_a_circle_of_extends_is_named(write: Write, parents: dict[str, str], chain: str) -> None:
    for child, parent in parents.items():
        write(f"{child}.yaml", f"name: {child}\nextends: ./{parent}.yaml\n")
    found = message(write("my_a.yaml", f"name: x\nextends: ./{parents['my_a']}.yaml\n"))
    assert found == f"my_a.yaml:2:1: extends: {chain}: a file extends itself"


def test_extends_deeper_than_two_levels_is_refused(write: Write) -> None:
    write("a.yaml", SPACE)
    for child, parent in (("b", "a"), ("c", "b"), ("d", "c")):
        write(f"{child}.yaml", f"extends: ./{parent}.yaml\n")
    assert load_space_spec(str(write("ok.yaml", "extends: ./b.yaml\n"))).name == "mine"
    with pytest.raises(SpecError, match="at most two levels"):
        load_space_spec(str(write("e.yaml", "extends: ./c.yaml\n")))


def test_the_search_path_goes_before_the_packaged_catalogue(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = write("spaces/vgg_tiny.yaml", SPACE)
    assert find("spaces", "vgg_tiny") != own
    monkeypatch.setenv("CIMSEARCH_PATH", str(tmp_path))
    assert roots()[0] == tmp_path
    assert find("spaces", "vgg_tiny") == own
    assert names("spaces")["vgg_tiny"] == own


def test_every_file_of_the_catalogue_loads() -> None:
    assert len(names("hardware")) >= 6
    for name in names("spaces"):
        assert load_space_spec(name).summary
    for name in names("studies"):
        assert load_study(name).hash
    for name in names("hardware"):
        if name.startswith("macros/"):
            assert load_hardware(name).system_name == "enough_macros"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "adc_bits: [3, 4, 5]",
            "adc_bits: [3, 9]",
            "genes.adc_bits: found adc_bits 9; on yu_cicc_2020",
        ),
        (
            "shape: [1, 8, 8]",
            "shape: [3, 8, 8]",
            "data.shape: found [3, 8, 8]; the space takes [1, 8, 8]",
        ),
        ("space: vgg_tiny", "space: vgg_tinny", "tiny.yaml:5:1: space: "),
        ("macros/yu_cicc_2020", "macros/yu", "tiny.yaml:6:1: hardware: "),
        ("macros/yu_cicc_2020", "macros/chih_isscc_2021", "genes.adc_bits"),
        (
            "name: optuna_nsga2",
            "name: nsga",
            "sampler.name: found \"nsga\"; allowed is 'auto', 'random', 'nsga2', ",
        ),
        ("kind: digits", "kind: digit", "data"),
        (
            "population: 4",
            "populaton: 4",
            "sampler.populaton: unknown field; did you mean population?",
        ),
        ("chips: 2", "chips: 0", "rungs.0.chips: found 0; allowed is 1 to 1000"),
        ("train_level: L0", "train_level: L7", 'rungs.0.train_level: found "L7"'),
        (
            "budget: {trials: 4}",
            "budget: {trial: 4}",
            "budget.trial: unknown field; did you mean trials?",
        ),
        (
            "workers: 2",
            "objectives: [energy_pj, accuracy]",
            "objectives: accuracy must be the first objective",
        ),
        ("[3, 4, 5]", "[3, 3]", "genes.adc_bits: found a repeated choice in [3, 3]"),
        (
            "workers: 2",
            "constraints: {area_um2: {min: 4.0, max: 3.0}}",
            "constraints.area_um2.min: found 4; allowed is at most max = 3",
        ),
        ("chips: 2", "chips: 2000", "rungs.0.chips: found 2000; allowed is 1 to 1000"),
        ("workers: 2", "constraints: {area_um2: {}}", "constraints.area_um2.max: missing"),
        ("workers: 2", "constraints: {area_mm2: {max: 1}}", "constraints.area_mm2"),
        ("workers: 2", "wrkers: 2", "wrkers: unknown field; did you mean workers?"),
    ],
)
def test_study_errors(write: Write, old: str, new: str, expected: str) -> None:
    assert old in TINY_STUDY
    text = TINY_STUDY.lstrip().replace(old, new, 1)
    assert expected in message(write("tiny.yaml", text), load_study)


def test_identity_leaves_out_what_may_change(write: Write) -> None:
    study = load_study(str(write("a.yaml", TINY_STUDY)))
    for old, new in (
        ("trials: 4", "trials: 9"),
        ("workers: 2", "workers: 7"),
        ("a study that", "one that"),
    ):
        other = load_study(str(write("b.yaml", TINY_STUDY.replace(old, new))))
        assert other.hash == study.hash
    for old, new in (("lag: 2", "lag: 3"), ("[3, 4, 5]", "[3, 5]"), ("chips: 2", "chips: 3")):
        other = load_study(str(write("b.yaml", TINY_STUDY.replace(old, new))))
        assert other.hash != study.hash


def test_a_study_survives_the_database_form(write: Write) -> None:
    study = load_study(str(write("a.yaml", TINY_STUDY)))
    again = type(study).from_json(study.to_json())
    assert again.hash == study.hash
    assert again.spec == study.spec
    assert again.hardware.hash == study.hardware.hash
