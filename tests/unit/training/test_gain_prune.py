"""Pruning a trained network to a target: what is promised of the result and of every step."""

from dataclasses import replace

import pytest
import torch

from cimsearch.cost.model import estimate_table
from cimsearch.errors import UsageError
from cimsearch.layer_table import layer_table
from cimsearch.networks import Network, build
from cimsearch.space.widths import widths_of, with_widths
from cimsearch.spec import load_hardware
from cimsearch.training.gain import Pruned, Step, Target, Tuning, prune
from cimsearch.training.gain.channels import Channels
from cimsearch.training.gain.target import Per
from cimsearch.training.gain.whole import Maker
from cimsearch.training.prune import inherit
from tests.unit.training.gain_networks import (
    residual,
    separable,
    stream,
    trained_parent,
    tuning,
)

HARDWARE = load_hardware("macros/yu_cicc_2020")
CANDIDATE, TUNING = residual(), tuning()
UNTUNED = replace(TUNING, epochs=0.0, images=64)


@pytest.fixture(scope="module")
def parent() -> Network:
    return trained_parent()


@pytest.fixture(scope="module")
def pruned(parent: Network) -> Pruned:
    return pruned_to(parent, Target(0.6))


def pruned_to(network: Network, target: Target, tuning: Tuning = TUNING, seed: int = 1) -> Pruned:
    return prune(network, CANDIDATE, HARDWARE, target, tuning, generator=stream(seed))


def energy_pj(found: Pruned) -> float:
    table = layer_table([found.candidate.blueprint])
    return float(estimate_table(table, HARDWARE).energy_pj[0])


def test_the_target_is_reached_at_the_price_that_is_told(parent: Network, pruned: Pruned) -> None:
    first, *_, last = pruned.history
    assert pruned.stopped == "target"
    assert last.cost_frac <= 0.6
    assert last.energy_pj == pytest.approx(energy_pj(pruned))
    assert last.energy_pj / first.energy_pj == pytest.approx(last.cost_frac)
    assert last.weights == pruned.candidate.blueprint.weights
    assert last.macs == pruned.candidate.blueprint.macs
    assert pruned.accuracy > 0.6


def test_every_step_is_told(pruned: Pruned) -> None:
    widths = widths_of(CANDIDATE.blueprint)
    first, *others = pruned.history
    assert first.removed == ()
    assert first.cost_frac == 1.0
    for before, step in zip(pruned.history, others, strict=False):
        for group, count in step.removed:
            widths[group] -= count
        assert step.cost_frac <= before.cost_frac + 1e-12
    assert widths == widths_of(pruned.candidate.blueprint)
    assert others[-1].accuracy is not None
    assert pruned.scored[0] is first


def test_a_round_takes_no_more_than_its_share_of_a_group(parent: Network) -> None:
    target = Target(0.4, most_frac=0.2, exchange=False)
    found = pruned_to(parent, target, UNTUNED)
    begun, gone, largest = dict(widths_of(CANDIDATE.parent)), dict[str, int](), 0
    for step in found.history:
        for group, count in step.removed:
            gone[group] = gone.get(group, 0) + count
            assert gone[group] <= max(int(0.2 * begun[group]), 1)
        if step.accuracy is not None:
            largest = max(largest, *gone.values(), 0)
            begun = {group: width - gone.get(group, 0) for group, width in begun.items()}
            gone = {}
    # Five channels make a step of the staircase: they went, in parts.
    assert begun["wide"] <= 7
    assert largest < 5


def test_the_result_is_a_parent_and_its_quantised_network_of_equal_widths(pruned: Pruned) -> None:
    widths = widths_of(pruned.network.blueprint)
    assert pruned.tuned is pruned.network
    assert pruned.network.blueprint == with_widths(CANDIDATE.parent, widths)
    assert pruned.candidate.parent == pruned.network.blueprint
    assert pruned.candidate.blueprint == with_widths(CANDIDATE.blueprint, widths)
    quantised = build(pruned.candidate.blueprint, HARDWARE.macro, generator=stream())
    inherit(quantised, pruned.network)
    for name in ("stem", "second"):
        assert len(pruned.network.module(name).get_parameter("weight")) == widths["wide"]


def test_equal_streams_give_equal_results(parent: Network, pruned: Pruned) -> None:
    again = pruned_to(parent, Target(0.6))
    assert again.history == pruned.history
    for name, values in pruned.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], values)
    other = pruned_to(parent, Target(0.6), seed=2)
    assert other.history != pruned.history


def test_nothing_pruned_is_the_same_network(parent: Network) -> None:
    images = torch.rand(16, 1, 8, 8, generator=stream())
    before = parent(images)
    same = pruned_to(parent, Target(1.0, exchange=False))
    assert len(same.history) == 1
    assert same.candidate == CANDIDATE
    assert torch.equal(same.network(images), before)
    assert torch.equal(parent(images), before)


@pytest.mark.parametrize("per", ["macs", "parameters", "plain", "random"])
def test_controls_stop_at_the_same_target(parent: Network, per: Per) -> None:
    found = pruned_to(parent, Target(0.7, per=per), UNTUNED)
    assert found.history[-1].cost_frac <= 0.7
    assert energy_pj(found) <= 0.7 * found.history[0].energy_pj * (1 + 1e-9)


def test_latency_and_bitlines_can_be_what_is_saved(parent: Network) -> None:
    target = Target(0.7, energy=0.0, bitlines=1.0, exchange=False)
    found = pruned_to(parent, target, UNTUNED)
    first, *_, last = found.history
    assert last.bitlines <= 0.7 * first.bitlines
    assert last.cost_frac == pytest.approx(last.bitlines / first.bitlines)


def test_the_network_before_the_accuracy_falls_too_low_is_kept(parent: Network) -> None:
    heard = list[Step]()
    found = prune(
        parent,
        CANDIDATE,
        HARDWARE,
        Target(0.05, least_accuracy=0.8, exchange=False),
        UNTUNED,
        generator=stream(),
        after_round=lambda step, _: heard.append(step),
    )
    assert found.stopped == "accuracy"
    assert found.accuracy >= 0.8
    assert tuple(heard) == found.scored
    assert found.history[-1].cost_frac > 0.05


def test_pruning_stops_where_every_group_is_as_narrow_as_may_be(parent: Network) -> None:
    found = pruned_to(parent, Target(0.01, least_channels=11), UNTUNED)
    assert found.stopped == "widths"
    assert set(widths_of(found.network.blueprint).values()) == {8, 11}


def test_a_quantised_network_is_pruned_through_its_hardware(parent: Network) -> None:
    network = build(CANDIDATE.blueprint, HARDWARE.macro, generator=stream())
    inherit(network, parent)
    network.calibrate(TUNING.training.sample(128, stream()))
    network.set_mode("L0", noise_scale=0.5)
    found = pruned_to(network, Target(0.8, exchange=False))
    assert found.tuned.blueprint == found.candidate.blueprint
    assert {layer.mode.noise_scale for layer in found.tuned.cim_layers()} == {0.5}
    assert found.network.blueprint == found.candidate.parent
    assert not list(found.network.cim_layers())
    assert torch.equal(
        found.network.module("first").get_parameter("weight"),
        found.tuned.module("first").get_parameter("weight"),
    )
    assert found.accuracy > 0.5


def test_channels_that_come_back_have_the_parents_filters() -> None:
    candidate, generator = separable(), stream()
    whole = build(candidate.parent, None, generator=generator)
    maker = Maker(whole, candidate, HARDWARE.macro, TUNING.training, generator)
    channels = Channels.all_of(candidate.parent)
    before = {name: values.clone() for name, values in whole.state_dict().items()}
    fewer = channels.changed({"wide": 4, "last": 2})
    narrow = maker.floating(fewer)
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.fill_(7.0)
    maker.put_back(narrow, fewer)
    back = maker.floating(fewer)
    assert all(bool((parameter == 7.0).all()) for parameter in back.parameters())
    a, gone = whole.module("a").get_parameter("weight"), ~fewer.kept["wide"]
    assert torch.equal(a[gone], before["operations.a.weight"][gone])
    assert bool((a[fewer.kept["wide"]] == 7.0).all())
    c = whole.module("c").get_parameter("weight")
    # Half of its inputs are read by each half of its outputs.
    kept_in = fewer.kept["wide"].view(2, 4).repeat_interleave(3, dim=0)
    learned = kept_in & fewer.kept["last"][:, None]
    assert torch.equal((c == 7.0).all(dim=(2, 3)), learned)
    assert torch.equal(c[~learned], before["operations.c.weight"][~learned])


def test_what_does_not_fit_together_is_told(parent: Network) -> None:
    other = build(separable().parent, None, generator=stream())
    with pytest.raises(UsageError, match="found a network of another blueprint"):
        pruned_to(other, Target(0.5))
    narrow = with_widths(CANDIDATE.blueprint, {"inner": 4})
    with pytest.raises(UsageError, match="found a candidate that is pruned already"):
        prune(
            parent,
            replace(CANDIDATE, blueprint=narrow),
            HARDWARE,
            Target(0.5),
            TUNING,
            generator=stream(),
        )
    nodes = CANDIDATE.blueprint.nodes
    digital = [replace(n, placement="digital") if n.has_weights else n for n in nodes]
    off = replace(CANDIDATE, blueprint=replace(CANDIDATE.blueprint, nodes=tuple(digital)))
    with pytest.raises(UsageError, match="none of the costs of the pruning target"):
        prune(
            parent,
            off,
            HARDWARE,
            Target(0.5, energy=0.0, bitlines=1.0),
            TUNING,
            generator=stream(),
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost_frac": 0.0}, "cost_frac of a pruning target: found 0.0; allowed is above 0 to 1"),
        ({"least_accuracy": 1.5}, "found 1.5; allowed is 0 to 1"),
        ({"energy": 0.0}, "allowed is weights of 0 or more, not all 0"),
        ({"latency": -1.0}, "allowed is weights of 0 or more, not all 0"),
        ({"least_channels": 0}, "found 0; allowed is 1 or more"),
        ({"per": "size"}, "found size; allowed is cim, macs, parameters, plain, random"),
    ],
)
def test_impossible_targets_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Target(**({"cost_frac": 0.5} | changes))  # type: ignore[arg-type]
