"""What a training step through the hardware costs, as ratios to the float step of the same run.

ResNet-8 with the widths of MLPerf Tiny, batch 128, one thread, processor time, best of several
rounds that take turns. Beside it a step of brevitas, which quantises weights and activations
without hardware (``pip install --group peers``). Run: ``python benchmarks/step_time.py``; about
two minutes.
"""

import warnings
from collections.abc import Callable
from time import process_time

import torch
from brevitas_network import MISSING, BrevitasNetwork
from torch import nn
from torch.nn import functional

from cimsearch.blueprint import Blueprint
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread
from cimsearch.networks import Network, build
from cimsearch.space import Candidate, Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.hardware import Macro
from cimsearch.spec.study import Level

BATCH, BITS, ROUNDS = 128, 4, 6
WIDTHS = {"stage0.width": 16, "stage1.width": 32, "stage2.width": 64}
GOALS: dict[Level, float] = {"L0": 1.8, "L1": 2.2, "L2": 3.5}
PEER_GOAL = 1.5


def resnet8() -> Candidate:
    """Return ResNet-8 with nothing pruned."""
    space = Space(load_space_spec("resnet8"))
    values: dict[str, int | float | str] = {
        gene.name: 0.0 if gene.name.endswith("prune_ratio") else BITS for gene in space.genes
    }
    return space.decode(space.encode(values | WIDTHS))


def macro_256() -> Macro:
    """Return the catalogue's macro with 256 rows, all active; its ADC has 5 bits."""
    macro = load_hardware("macros/yu_cicc_2020").macro
    array = macro.array.model_copy(update={"rows": 256, "active_rows": 256})
    return macro.model_copy(update={"array": array})


def multi_level() -> Macro:
    """Return it with the magnitude of a weight in one cell of a pair, one range a layer."""
    macro = macro_256()
    if macro.adc is None:
        raise SystemExit("the macro has no converter")
    return macro.model_copy(
        update={
            "array": macro.array.model_copy(update={"cell_bits": BITS - 1}),
            "weights": macro.weights.model_copy(update={"encoding": "differential"}),
            "adc": macro.adc.model_copy(update={"range_policy": "layer"}),
        }
    )


def quiet(macro: Macro) -> Macro:
    """Return a macro without noise."""
    return macro.model_copy(update={"noise": type(macro.noise)()})


def step_of(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """Return a function that does one whole training step."""
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True
    )
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(network(x), y))
        optimizer.step()

    return step


def milliseconds(steps: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the processor time of each step: the best of rounds that take turns."""
    best = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = process_time()
            step()
            step()
            best[name] = min(best[name], 500 * (process_time() - start))
    return best


class ContiguousNetwork(Network):
    """A network that computes in torch's default memory format."""

    def __init__(self, blueprint: Blueprint, generator: torch.Generator) -> None:
        super().__init__(blueprint, None, generator)
        for parameter in self.parameters():
            parameter.data = parameter.data.contiguous()

    def cast(self, images: torch.Tensor) -> torch.Tensor:
        """Return images in the type that is computed in."""
        return images.to(self.dtype)


CASES: tuple[tuple[str, Level, Callable[[], Macro]], ...] = (
    ("L0, 256 rows active", "L0", macro_256),
    ("L1, 256 rows active", "L1", macro_256),
    ("L2, 256 rows, one multi-level cell", "L2", multi_level),
    ("L2, the same without noise", "L2", lambda: quiet(multi_level())),
    ("L0, 64 of 128 rows active", "L0", lambda: load_hardware("macros/yu_cicc_2020").macro),
    ("L1, 64 of 128 rows active", "L1", lambda: load_hardware("macros/yu_cicc_2020").macro),
)


def report(dtype: torch.dtype) -> None:
    """Print the times and ratios in one type."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, 32, 32, generator=generator)
    y = torch.randint(0, 10, (BATCH,), generator=generator)
    candidate = resnet8()
    networks = {
        "float": build(candidate.parent, None, generator=generator),
        "contiguous": ContiguousNetwork(candidate.parent, generator),
    }
    for name, level, macro in CASES:
        network = build(candidate.blueprint, macro(), generator=generator)
        network.calibrate(x)
        network.set_mode(level)
        networks[name] = network
    for network in networks.values():
        network.dtype = dtype
    steps = {name: step_of(network, x, y) for name, network in networks.items()}
    if dtype == torch.float32:
        steps |= peer(candidate, x, y)
    times = milliseconds(steps)
    best = min(times["float"], times["contiguous"])
    print(
        f"\n{dtype}: float step {times.pop('float'):.1f} ms channels last, "
        f"{times.pop('contiguous'):.1f} ms contiguous"
    )
    for name, time in times.items():
        print(f"  {name:36} {time:6.1f} ms  {time / best:.2f} x the best float step")
    if dtype == torch.float32 and PEER in times:
        ratio = times[PEER] / times[CASES[0][0]]
        print(f"  L0 is {ratio:.2f} times as fast as brevitas; goal {PEER_GOAL}")


PEER = "brevitas, no hardware"


def peer(candidate: Candidate, x: torch.Tensor, y: torch.Tensor) -> dict[str, Callable[[], None]]:
    """Return a step of the same network in brevitas, in float32; none without it."""
    try:
        network = BrevitasNetwork(candidate.blueprint, BITS)
    except ModuleNotFoundError:
        print(MISSING)
        return {}
    return {PEER: step_of(network, x, y)}


def main() -> None:
    """Print the report."""
    # Brevitas uses names of torch's tensors that torch warns of.
    warnings.simplefilter("ignore", UserWarning)
    keep_freed_memory()
    print(f"ResNet-8, {BITS} bit weights and activations, batch {BATCH}, one thread")
    print(f"5 bit ADC, noise of cells and conversions; {fingerprint()}")
    print("goals with 256 rows: " + ", ".join(f"{n} {goal} x" for n, goal in GOALS.items()))
    with one_thread():
        for dtype in (torch.float32, torch.bfloat16):
            report(dtype)


if __name__ == "__main__":
    main()
