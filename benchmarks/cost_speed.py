"""How many ResNet-8 candidates a second are priced on one core, and the memory that it takes.

Each case runs in a process of its own with one thread: processor time, median of several rounds.
Goals: 100,000 candidates/s from layer arrays and 20,000/s from genes. Packed, replicated and
pipelined figures are those of a chip of 64 macros. Beside it, the time of
ZigZag (L. Mei et al., IEEE Trans. Computers 2021) for one such network, if it is there:
``pip install zigzag-dse six``. Run: ``python benchmarks/cost_speed.py``; about a minute.
"""

import importlib
import importlib.metadata
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from cimsearch.blueprint import Node
from cimsearch.cost import estimate_table, estimate_totals
from cimsearch.layer_table import LayerTable
from cimsearch.search.pricing import estimate_batch
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec

HARDWARE = "macros/yu_cicc_2020"
SYSTEM = "systems/edge_soc"
WIDTHS = {"stage0.width": 16, "stage1.width": 32, "stage2.width": 64}
ROUNDS = 5
MANY, SOME, FEW = 100_000, 20_000, 1_000
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Case = Callable[[Space, int], Callable[[], object]]


def arrays(space: Space, n: int) -> LayerTable:
    """Return the layer arrays of random candidates, each column in memory of its own."""
    return space.layer_table(space.sample_genes(n, 0)).map(np.ascontiguousarray)


def totals_from_arrays(space: Space, n: int) -> Callable[[], object]:
    """Return the pricing of whole networks from layer arrays."""
    table, hardware = arrays(space, n), load_hardware(HARDWARE)
    return lambda: estimate_totals(table, hardware)


def nodes_from_arrays(space: Space, n: int) -> Callable[[], object]:
    """Return the pricing of networks and each of their nodes from layer arrays."""
    table, hardware = arrays(space, n), load_hardware(HARDWARE)
    return lambda: estimate_table(table, hardware)


def totals_from_genes(space: Space, n: int) -> Callable[[], object]:
    """Return the pricing of whole networks from their genes."""
    genes, hardware = space.sample_genes(n, 0), load_hardware(HARDWARE)
    return lambda: estimate_batch(space, genes, hardware)


def on_fixed_chip(**options: str) -> Case:
    """Return the pricing of whole networks from genes on a chip of 64 macros with ``options``."""

    def case(space: Space, n: int) -> Callable[[], object]:
        genes, hardware = space.sample_genes(n, 0), load_hardware(SYSTEM)
        chip = hardware.system.model_copy(update={"macros": 64, **options})
        machine = hardware.model_copy(update={"system": chip})
        return lambda: estimate_batch(space, genes, machine)

    return case


def arrays_from_genes(space: Space, n: int) -> Callable[[], object]:
    """Return the making of layer arrays from genes."""
    genes = space.sample_genes(n, 0)
    return lambda: space.layer_table(genes)


def decoding(space: Space, n: int) -> Callable[[], object]:
    """Return the decoding of genes to blueprints, one after the other."""
    genes = space.sample_genes(n, 0)
    return lambda: [space.decode(row) for row in genes]


CASES: dict[str, tuple[Case, int]] = {
    "layer arrays to totals": (totals_from_arrays, MANY),
    "layer arrays to the costs of all nodes": (nodes_from_arrays, SOME),
    "genes to totals": (totals_from_genes, MANY),
    "genes to totals, layers packed": (on_fixed_chip(layers_per_array="many"), MANY),
    "genes to totals, replicated": (on_fixed_chip(duplicates="fill"), MANY),
    "genes to totals, pipelined, replicated": (
        on_fixed_chip(execution="pipelined", duplicates="fill"),
        MANY,
    ),
    "genes to layer arrays": (arrays_from_genes, MANY),
    "genes to blueprints": (decoding, FEW),
}
ZIGZAG = "ZigZag"


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of ``work``: the median of rounds, after one to warm up."""
    times = []
    for _ in range(ROUNDS + 1):
        start = process_time()
        work()
        times.append(process_time() - start)
    return statistics.median(times[1:])


def zigzag_layer(index: int, node: Node) -> dict[str, Any]:
    """Return a convolution as ZigZag describes one."""
    (channels, in_height, in_width), (outputs, height, width) = node.in_shape, node.out_shape
    (fy, fx), (sy, sx) = node.kernel, node.stride
    return {
        "id": index,
        "name": node.name,
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={sx}*ox+1*fx", f"iy={sy}*oy+1*fy"],
        "loop_dims": ["B", "G", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [1, 1, outputs, channels, height, width, fy, fx],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        "pr_loop_dims": ["IX", "IY"],
        "pr_loop_sizes": [in_width, in_height],
        "padding": [[fx // 2, fx // 2], [fy // 2, fy // 2]],
    }


def zigzag_seconds(space: Space) -> float:
    """Return ZigZag's time for the convolutions of ResNet-8 on its example of an analog macro.

    The fastest that it goes: one spatial mapping a layer and at most 3 loop factors to order. It
    finds no mapping for the classifier, which is left out. Plots and files are part of a run.
    """
    api = importlib.import_module("zigzag.api")
    inputs = Path(api.__file__ or "").parent / "inputs"
    values: dict[str, int | float | str] = {
        gene.name: 0.0 if gene.name.endswith("prune_ratio") else 8 for gene in space.genes
    }
    nodes = space.decode(space.encode(values | WIDTHS)).blueprint.nodes
    layers = [zigzag_layer(i, n) for i, n in enumerate(n for n in nodes if n.op == "conv")]
    logging.disable(logging.CRITICAL)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            api.get_hardware_performance_zigzag(
                layers,
                str(inputs / "hardware" / "aimc.yaml"),
                str(inputs / "mapping" / "default_imc.yaml"),
                opt="energy",
                lpf_limit=3,
                nb_spatial_mappings_generated=1,
                loma_show_progress_bar=False,
                dump_folder=folder,
            )

    return seconds_of(work)


def measure(name: str) -> None:
    """Measure one case in this process; print seconds and peak memory in MB as JSON."""
    space = Space(load_space_spec("resnet8"))
    if name == ZIGZAG:
        seconds = zigzag_seconds(space)
    else:
        case, n = CASES[name]
        seconds = seconds_of(case(space, n))
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 1e6
    print(json.dumps([seconds, peak_mb]))


def measured(name: str) -> tuple[float, float]:
    """Return seconds and peak memory in MB of one case, measured in a new process."""
    command = [sys.executable, __file__, name]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    output = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    seconds, peak_mb = json.loads(output.stdout.splitlines()[-1])
    return seconds, peak_mb


def machine() -> str:
    """Return the processor and the versions of what was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor()
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("cimsearch", "numpy"))
    return f"{platform.machine()} {model}, Python {platform.python_version()}, {versions}"


def main() -> None:
    """Print the report."""
    print(f"ResNet-8 on {HARDWARE}, one core, median of {ROUNDS} rounds; {machine()}")
    rates = {}
    for name, (_, n) in CASES.items():
        seconds, peak_mb = measured(name)
        rates[name] = n / seconds
        print(f"{name:40} {n / seconds:12,.0f} candidates/s  {n:7,} at once, {peak_mb:6,.0f} MB")
    if not all(find_spec(package) for package in ("zigzag", "six")):
        print("ZigZag is not installed: pip install zigzag-dse six")
        return
    seconds, peak_mb = measured(ZIGZAG)
    ratio = seconds * rates["genes to totals"]
    version = f"ZigZag {importlib.metadata.version('zigzag-dse')}"
    print(f"{version:40} {seconds:12.2f} s a candidate, {peak_mb:.0f} MB; {ratio:,.0f} x the time")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
