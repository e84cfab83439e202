"""Data statistics of single layers in a study file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cimsearch.errors import SpecError
from cimsearch.spec import load_study
from cimsearch.spec.study import Statistics
from tests.studies import TINY_STUDY

Write = Callable[[str, str], Path]

LAYERS = """\
statistics:
  activity_frac: 0.4
  zero_plane_frac: 0.2
  layers:
    - {layer: "stage0.*", activity_frac: 0.3, density_frac: 0.4}
    - {layer: classifier, zero_plane_frac: 0.1}
"""


def study(layers: str = LAYERS) -> str:
    return TINY_STUDY.lstrip() + layers


def refused(write: Write, layers: str) -> str:
    path = write("tiny.yaml", study(layers))
    with pytest.raises(SpecError) as caught:
        load_study(str(path))
    return caught.value.message.replace(str(path), path.name)


def test_a_layer_has_its_own_shares_and_else_those_of_the_network(write: Write) -> None:
    found = load_study(str(write("a.yaml", study()))).spec.statistics
    assert found.of_layer("stage0.layer1") == Statistics(
        activity_frac=0.3, density_frac=0.4, zero_plane_frac=0.2
    )
    assert found.of_layer("classifier") == Statistics(activity_frac=0.4, zero_plane_frac=0.1)
    assert found.of_layer("stage1.layer0") == Statistics(activity_frac=0.4, zero_plane_frac=0.2)


def test_the_last_entry_that_matches_counts_alone(write: Write) -> None:
    layers = "statistics: {layers: [{layer: '*', density_frac: 0.1}, {layer: 'stage?.layer0'"
    found = load_study(str(write("a.yaml", study(layers + ", activity_frac: 0.2}]}\n"))))
    of_layer = found.spec.statistics.of_layer
    assert (of_layer("classifier").activity_frac, of_layer("classifier").density_frac) == (
        0.5,
        0.1,
    )
    inside = of_layer("stage1.layer0")
    assert (inside.activity_frac, inside.density_frac) == (0.2, 0.5)
    assert of_layer("Classifier").density_frac == 0.1
    assert Statistics(batch=7).of_layer("any") == Statistics(batch=7)


def test_names_tell_upper_from_lower_case() -> None:
    found = Statistics.model_validate_json('{"layers": [{"layer": "A*", "density_frac": 0.1}]}')
    assert found.of_layer("A1").density_frac == 0.1
    assert found.of_layer("a1").density_frac == 0.5


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"stage0.*"',
            '"stag0.*"',
            "tiny.yaml:19:8: statistics.layers.0.layer: found stag0.*; allowed is a pattern that "
            "matches a layer of the space, such as stage0.layer0, stage0.layer1, ",
        ),
        (
            "classifier, zero_plane_frac: 0.1",
            "classifier",
            "tiny.yaml:20:8: statistics.layers.1.layer: no share is given; add one of "
            "activity_frac, density_frac, zero_plane_frac",
        ),
        (
            "zero_plane_frac: 0.1",
            "zero_plane_frac: 0.7",
            "tiny.yaml:20:27: statistics.layers.1.zero_plane_frac: found 0.7; allowed is at most "
            "0.6: the other planes have all the ones of activity_frac 0.4",
        ),
        (
            "activity_frac: 0.3",
            "activity_frac: 0.9",
            "tiny.yaml:19:7: statistics.layers.0.zero_plane_frac: found 0.2; allowed is at most "
            "0.1: the other planes have all the ones of activity_frac 0.9",
        ),
        (
            "density_frac: 0.4",
            "density_frac: 1.4",
            "tiny.yaml:19:47: statistics.layers.0.density_frac: found 1.4; allowed is 0 to 1",
        ),
        (
            "classifier",
            "'*.norm'",
            "statistics.layers.1.layer: found *.norm; allowed is a pattern",
        ),
        ("layer: classifier", "layr: classifier", "unknown field; did you mean layer?"),
        ("layer: classifier", "layer: ''", "statistics.layers.1.layer"),
    ],
)
def test_errors_are_told_at_their_place(write: Write, old: str, new: str, expected: str) -> None:
    assert old in LAYERS
    assert expected in refused(write, LAYERS.replace(old, new, 1))


def test_all_entries_without_a_layer_are_told(write: Write) -> None:
    found = refused(write, LAYERS.replace('"stage0', '"stage7').replace("classifier", "head"))
    assert "found stage7.*;" in found
    assert "found head;" in found


def test_shares_of_layers_are_part_of_what_a_study_is(write: Write) -> None:
    plain, given, other = (
        load_study(str(write("a.yaml", study(layers))))
        for layers in ("", LAYERS, LAYERS.replace("0.1", "0.05"))
    )
    assert len({plain.hash, given.hash, other.hash}) == 3
    assert type(given).from_json(given.to_json()).spec == given.spec
