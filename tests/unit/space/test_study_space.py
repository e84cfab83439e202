"""Genes of the hardware beside those of networks: decoding, repair, hashes and files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsearch.errors import SpaceError
from cimsearch.search.baselines import baselines, uniform_genes
from cimsearch.space import Candidate, Space, StudySpace, space_of
from cimsearch.space.study_space import HARDWARE
from cimsearch.spec import load_study
from tests.studies import TINY_STUDY

STUDY = load_study("macro_search")
PLAIN = Space(STUDY.space)


def opened() -> StudySpace:
    space = space_of(STUDY)
    assert isinstance(space, StudySpace)
    return space


SPACE = opened()
MACHINES = SPACE.machines
FIELDS = 6
SEEDS = st.integers(0, 10_000)


def test_a_study_that_opens_nothing_has_the_space_itself(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_STUDY.lstrip(), encoding="utf-8")
    assert isinstance(space_of(load_study(str(path))), Space)


def test_genes_of_the_hardware_follow_those_of_the_network() -> None:
    assert SPACE.gene_names[:-FIELDS] == PLAIN.gene_names
    assert SPACE.gene_names[-FIELDS:] == tuple(
        f"{HARDWARE}.{name}"
        for name in ("rows", "cols", "active_rows", "adc_bits", "columns_per_adc", "supply_v")
    )
    assert SPACE.genes[: len(PLAIN.genes)] == PLAIN.genes
    assert SPACE.genes[-1].choices == (0.7, 0.8, 0.9)


def test_there_are_as_many_candidates_as_networks_on_machines() -> None:
    assert MACHINES is not None
    assert SPACE.size == PLAIN.size * MACHINES.count == PLAIN.size * 972
    assert SPACE.hash != PLAIN.hash


@given(SEEDS)
def test_a_candidate_is_the_network_of_its_genes_on_a_machine(seed: int) -> None:
    genes = SPACE.sample_genes(1, seed)
    candidate, network = SPACE.decode(genes[0]), PLAIN.decode(genes[0, :-FIELDS])
    assert candidate.blueprint == network.blueprint
    assert candidate.parent == network.parent
    assert candidate.genes == tuple(genes[0])
    settings = dict(candidate.settings)
    assert settings["active_rows"] <= settings["rows"]
    assert STUDY.machine(candidate.settings).macro.array.rows == settings["rows"]


@given(SEEDS)
def test_settings_that_do_not_go_together_are_repaired_the_same_everywhere(seed: int) -> None:
    genes = SPACE.sample_genes(20, seed)
    repaired, canonical = SPACE.repair(genes), SPACE.canonical(genes)
    assert (repaired[:, -FIELDS:] == canonical[:, -FIELDS:]).all()
    assert (SPACE.repair(repaired) == repaired).all()
    by_row = dict[int, tuple[tuple[str, float], ...]]()
    for settings, rows in SPACE.by_machine(genes):
        by_row |= dict.fromkeys(rows.tolist(), settings)
    assert sorted(by_row) == list(range(20))
    for row, vector in enumerate(genes):
        candidate = SPACE.decode(vector)
        assert candidate.settings == by_row[row]
        assert candidate.hash == SPACE.decode(repaired[row]).hash
        named = SPACE.choices(tuple(vector.tolist()))
        told = {n.removeprefix(f"{HARDWARE}."): v for n, v in named.items() if HARDWARE in n}
        assert told == dict(candidate.settings)


@given(SEEDS)
def test_equal_canonical_genes_are_equal_candidates_and_no_others(seed: int) -> None:
    genes = SPACE.sample_genes(8, seed)
    genes[4:, :-FIELDS] = genes[:4, :-FIELDS]
    canonical = [tuple(row) for row in SPACE.canonical(genes).tolist()]
    hashes = [SPACE.decode(row).hash for row in genes]
    for first in range(8):
        for second in range(8):
            equal = canonical[first] == canonical[second]
            assert equal == (hashes[first] == hashes[second])


def test_settings_and_only_settings_change_a_hash() -> None:
    candidate = SPACE.sample(3)
    bare = Candidate(candidate.blueprint, candidate.parent, candidate.genes)
    assert bare.hash == PLAIN.decode(candidate.genes[:-FIELDS]).hash
    assert candidate.hash != bare.hash
    renumbered = Candidate(candidate.blueprint, candidate.parent, (), candidate.settings)
    assert renumbered.hash == candidate.hash


@given(SEEDS)
def test_json_keeps_settings_and_hash(seed: int) -> None:
    candidate = SPACE.sample(seed)
    back = Candidate.from_json(candidate.to_json())
    assert back == candidate
    assert back.hash == candidate.hash
    assert back.to_json() == candidate.to_json()
    assert STUDY.machine(back.settings) is STUDY.machine(candidate.settings)


def test_json_without_settings_is_what_it_was() -> None:
    assert "settings" not in PLAIN.sample(0).to_json()


def test_real_values_are_brought_to_machines() -> None:
    wild = np.full((2, len(SPACE.genes)), 1e9)
    wild[1] = -1e9
    first, last = SPACE.repair(wild)
    assert SPACE.decode(first).settings[:3] == (("rows", 256), ("cols", 256), ("active_rows", 256))
    assert SPACE.decode(last).settings[:3] == (("rows", 64), ("cols", 64), ("active_rows", 32))


def test_encoding_by_name_refuses_what_does_not_go_together() -> None:
    vector = SPACE.repair(SPACE.sample_genes(1, 0))[0]
    values = {
        gene.name: gene.choices[index] for gene, index in zip(SPACE.genes, vector, strict=True)
    }
    assert (SPACE.encode(values) == vector).all()
    values |= {"hardware.rows": 64, "hardware.active_rows": 256}
    with pytest.raises(SpaceError) as caught:
        SPACE.encode(values)
    assert caught.value.message == (
        "genes: these settings do not go together: array.active_rows: found 256; allowed is 1 to "
        "rows = 64"
    )
    assert caught.value.hint == "the nearest that do are with hardware.active_rows 64"
    values["hardware.rows"] = 100
    with pytest.raises(
        SpaceError, match=r"hardware\.rows: found 100; allowed is one of \[64, 128"
    ):
        SPACE.encode(values)


def test_no_genes_are_no_candidates() -> None:
    none = SPACE.sample_genes(0, 0)
    assert SPACE.canonical(none).shape == (0, len(SPACE.genes))
    assert not list(SPACE.by_machine(none))


def test_uniform_networks_are_on_the_file_s_own_machine() -> None:
    uniform = SPACE.uniform(weight_bits=8, activation_bits=8)
    assert MACHINES is not None
    assert uniform.settings == MACHINES.own
    assert STUDY.machine(uniform.settings).macro == STUDY.hardware.macro
    assert uniform.blueprint == PLAIN.uniform(weight_bits=8, activation_bits=8).blueprint


def test_a_uniform_network_that_is_a_member_is_found_by_its_genes() -> None:
    found = [SPACE.decode(genes).hash for genes in uniform_genes(STUDY)]
    assert found == [candidate.hash for candidate in baselines(STUDY).values()]
