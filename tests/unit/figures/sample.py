"""A realistic study view: made-up numbers of the shape and size that a small real study has."""

from dataclasses import replace
from statistics import fmean

import numpy as np

from cimsearch.figures.view import (
    Baseline,
    Credibility,
    GeneAxis,
    LayerView,
    Point,
    StudyView,
    Value,
)
from cimsearch.figures.view_search import RandomSearch, SearchCost
from cimsearch.pareto import front_mask, hypervolume_share, signed

OBJECTIVES = ("accuracy", "energy_pj", "latency_ns")
DIRECTIONS = ("maximize", "minimize", "minimize")
REFERENCE = (0.1, 27_000.0, 9_900.0)
UNVALIDATED = ("buffers", "interconnect", "digital")

BITS = (2, 3, 4, 6, 8)
ADC_BITS = (4, 5, 6, 8)
PRUNE = (0.0, 0.25, 0.5, 0.75)
WIDTHS = (14, 20, 28)


def genes() -> tuple[GeneAxis, ...]:
    """Three stages, each with a depth of one or two layers."""
    axes = []
    for stage in range(3):
        axes.append(GeneAxis(name=f"stage{stage}.width", choices=WIDTHS))
        axes.append(GeneAxis(name=f"stage{stage}.depth", choices=(1, 2)))
        for layer in range(2):
            prefix = f"stage{stage}.layer{layer}"
            axes.append(GeneAxis(name=f"{prefix}.prune_ratio", choices=PRUNE))
            if (stage, layer) != (0, 0):
                bits = (("weight", BITS), ("activation", BITS), ("adc", ADC_BITS))
                axes += [GeneAxis(name=f"{prefix}.{kind}_bits", choices=c) for kind, c in bits]
    return tuple(axes)


def draw_genes(rng: np.random.Generator) -> dict[str, Value]:
    """Draw a choice of each gene and keep the active ones."""
    drawn = {axis.name: axis.choices[rng.integers(len(axis.choices))] for axis in genes()}
    return {
        name: value
        for name, value in drawn.items()
        if ".layer1." not in name or drawn[f"{name.split('.')[0]}.depth"] == 2
    }


def layers(chosen: dict[str, Value]) -> tuple[LayerView, ...]:
    """Return the nodes of a network with plausible prices."""
    nodes: list[LayerView] = []
    channels, size = 1, 8
    for stage in range(3):
        for layer in range(int(chosen[f"stage{stage}.depth"])):
            name = f"stage{stage}.layer{layer}"
            ratio = float(chosen[f"{name}.prune_ratio"])
            width = max(1, int(float(chosen[f"stage{stage}.width"]) * (1 - ratio) + 0.5))
            node = _convolution(chosen, name, (channels, width, size))
            nodes += [node, *_followers(name, width * size * size)]
            channels = width
        size = max(2, size // 2)
    return (*nodes, _classifier(channels))


def _classifier(channels: int) -> LayerView:
    parts = {"digital": 12.0 * channels, "buffers": 3.0 * channels, "adder_tree": 0.0}
    return LayerView(
        name="classifier",
        op="linear",
        placement="digital",
        channels=10,
        w_bits=8,
        x_bits=8,
        energy_pj=sum(parts.values()),
        latency_ns=120.0,
        components=parts,
    )


def _convolution(chosen: dict[str, Value], name: str, sizes: tuple[int, int, int]) -> LayerView:
    channels, width, size = sizes
    macs = 9 * channels * width * size * size
    w_bits = int(chosen.get(f"{name}.weight_bits", 8))
    x_bits = int(chosen.get(f"{name}.activation_bits", 8))
    adc_bits = int(chosen.get(f"{name}.adc_bits", 0))
    outputs = width * size * size
    traffic = {"buffers": 0.05 * outputs * x_bits, "interconnect": 0.01 * outputs * x_bits}
    if adc_bits:
        conversions = outputs * w_bits * x_bits * max(1, 9 * channels // 256 + 1)
        parts = {
            "cells": 0.0009 * macs * w_bits * x_bits / 8,
            "drivers": 0.03 * 9 * channels * size * size * x_bits,
            "adc": 0.0022 * conversions * 2**adc_bits / 16 + 0.01 * conversions,
            "shift_add": 0.006 * conversions,
        }
    else:
        parts = {"digital": 0.02 * macs}
    parts |= traffic
    return LayerView(
        name=name,
        op="conv",
        placement="cim" if adc_bits else "digital",
        kernel=(3, 3),
        channels=width,
        w_bits=w_bits,
        x_bits=x_bits,
        adc_bits=adc_bits,
        prune_ratio=float(chosen[f"{name}.prune_ratio"]),
        utilization=min(1.0, 9 * channels / 256) if adc_bits else 0.0,
        energy_pj=sum(parts.values()),
        latency_ns=size * size * x_bits * (2.0 + 0.9 * adc_bits),
        components=parts,
    )


def _followers(name: str, outputs: int) -> list[LayerView]:
    return [
        LayerView(
            name=f"{name}.{op}",
            op=op,
            channels=outputs,
            energy_pj=price * outputs,
            latency_ns=0.02 * outputs,
            components={"digital": price * outputs},
        )
        for op, price in (("batchnorm", 0.08), ("relu", 0.01))
    ]


def components_of(nodes: tuple[LayerView, ...]) -> dict[str, float]:
    """Return the energy in pJ by component, summed over the nodes."""
    total: dict[str, float] = {}
    for node in nodes:
        for name, value in node.components.items():
            total[name] = total.get(name, 0.0) + value
    return total


def _point(number: int, rng: np.random.Generator) -> Point:
    chosen = draw_genes(rng)
    nodes = layers(chosen)
    energy = sum(node.energy_pj for node in nodes)
    latency = sum(node.latency_ns for node in nodes)
    if number % 17 == 5 or number % 7 == 1:
        failed = number % 17 == 5
        return Point(
            number=number,
            state="failed" if failed else "infeasible",
            values=(0.0, energy, latency),
            genes=chosen,
            layers=nodes,
            reason="worker lost twice: out of memory" if failed else "utilization by 38 %",
        )
    strength = float(np.log2(energy / 700.0))
    slip = abs(float(rng.normal(0, 0.05)))
    ideal = max(0.2, 0.99 - 0.5 * float(np.exp(-0.8 * strength)) - slip)
    accuracy = ideal - abs(float(rng.normal(0.012, 0.008)))
    spread = abs(float(rng.normal(0.006, 0.002)))
    return Point(
        number=number,
        state="complete",
        values=(accuracy, energy, latency),
        genes=chosen,
        accuracy_std=spread,
        accuracy_mean=accuracy,
        chip_standard_error=spread / 3**0.5,
        accuracy_worst=accuracy - 1.3 * spread,
        ideal_accuracy=ideal,
        energy_measured_pj=energy * float(rng.uniform(0.62, 0.74)),
        layers=nodes,
        components=components_of(nodes),
    )


def _marked(points: list[Point], rng: np.random.Generator) -> list[Point]:
    scored = [point for point in points if point.state == "complete"]
    rows = np.array([point.values for point in scored]).reshape(-1, len(OBJECTIVES))
    front = {
        point.number
        for point, on_front in zip(scored, front_mask(signed(rows, DIRECTIONS)), strict=True)
        if on_front
    }
    return [
        replace(
            point,
            on_front=True,
            test_accuracy=point.values[0] - abs(float(rng.normal(0.008, 0.006))),
        )
        if point.number in front
        else point
        for point in points
    ]


def _history(points: list[Point]) -> tuple[tuple[int, float], ...]:
    values: list[tuple[float, ...]] = []
    history = []
    reference = signed(REFERENCE, DIRECTIONS)[0]
    ideal = signed((1.0, 0.0, 0.0), DIRECTIONS)[0]
    for point in (point for point in points if point.state == "complete"):
        values.append(point.values)
        rows = signed(values, DIRECTIONS)
        history.append((point.number, hypervolume_share(rows, reference, ideal)))
    return tuple(history)


def _uniform(bits: int, adc_bits: int) -> tuple[LayerView, ...]:
    fixed = {"prune_ratio": 0.0, "adc_bits": adc_bits, "width": 28, "depth": 2}
    return layers({axis.name: fixed.get(axis.name.rsplit(".", 1)[-1], bits) for axis in genes()})


def _baseline(name: str, bits: int, accuracies: tuple[float, float, float]) -> Baseline:
    nodes = _uniform(bits, 8)
    accuracy, ideal, test = accuracies
    energy = sum(node.energy_pj for node in nodes)
    latency = sum(node.latency_ns for node in nodes)
    return Baseline(
        name=name,
        values=(accuracy, energy, latency),
        ideal_accuracy=ideal,
        test_accuracy=test,
        broken=ideal - accuracy > 0.03,
        components=components_of(nodes),
    )


def _unvalidated_frac(points: list[Point]) -> float:
    front = [point.components for point in points if point.on_front]
    shares = [sum(parts[name] for name in UNVALIDATED) / sum(parts.values()) for parts in front]
    return fmean(shares or [0.0])


def sample_view(*, trials: int = 48, seed: int = 3) -> StudyView:
    """Return a study with a front, dominated, infeasible and failed trials, and baselines."""
    rng = np.random.default_rng(seed)
    points = _marked([_point(number, rng) for number in range(trials)], rng)
    states = [point.state for point in points]
    history = _history(points)
    drawn = tuple((count, 0.9 * share) for count, (_, share) in enumerate(history[:12], start=1))
    return StudyView(
        name="quickstart",
        summary="Digits on an analog SRAM macro: accuracy under noise, energy and latency",
        hardware="macros/sram_charge_28nm in systems/enough_macros",
        hardware_source="A. Author et al., a published charge-domain SRAM macro, 2020",
        space="vgg_tiny: 3 to 6 convolutions, 28 genes, 6.1e17 candidates",
        data="digits, 10 classes, shape 1x8x8, 20 % of the training images for validation",
        search=f"NSGA-II, population 8, lag 4, seed 0; {trials} trials",
        level="L1",
        chips=4,
        images=288,
        objectives=OBJECTIVES,
        directions=DIRECTIONS,
        reference_point=REFERENCE,
        points=tuple(points),
        baselines=(
            _baseline("uniform 8 bit", 8, (0.938, 0.957, 0.926)),
            _baseline("uniform 4 bit", 4, (0.871, 0.932, 0.862)),
        ),
        hypervolume=history,
        random_search=RandomSearch(curve=drawn),
        genes=genes(),
        cost=SearchCost(
            trained=states.count("complete"),
            failed=states.count("failed"),
            infeasible=states.count("infeasible"),
            reused=2,
            epochs=30 * states.count("complete"),
            cpu_hours=0.061,
            wall_seconds=97.0,
        ),
        credibility=Credibility(
            calibrated=False,
            band_factor=3.0,
            unvalidated=UNVALIDATED,
            unvalidated_frac=_unvalidated_frac(points),
            note="The macro's control logic is a fitted fraction of its dynamic energy.",
        ),
        constraints=("utilization at least 5 %",),
        provenance=(
            ("hardware hash", "9f2c41d07be1"),
            ("space hash", "51e0ac3377d2"),
            ("cimsearch", "0.1.0"),
        ),
    )


def empty_view() -> StudyView:
    """Return the view of a study in which no trial has ended."""
    return replace(
        sample_view(trials=0),
        points=(),
        baselines=(),
        hypervolume=(),
        random_search=RandomSearch(),
        cost=SearchCost(),
    )
