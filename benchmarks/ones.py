"""What half the stored ones save, by the cost model: the largest ResNet-8 on every macro.

Density 0.5 against 0.25, with weights of 4 bits, else of 8, and activations likewise. No data,
some seconds. Run: ``python benchmarks/ones.py``.
"""

from typing import get_args

from cimsearch.blueprint import Blueprint
from cimsearch.cost.report import CostReport, estimate
from cimsearch.space import Space
from cimsearch.spec import load_hardware, load_space_spec
from cimsearch.spec.catalogue import names
from cimsearch.spec.hardware import CallComponent, Macro
from cimsearch.spec.study import Statistics

PREFERRED_BITS = (4, 8)


def bits_of(macro: Macro) -> tuple[int, int] | None:
    """Return the bits of weights and of activations, if the macro has any that are wanted."""
    found = []
    for field in ("weight_bits", "activation_bits"):
        choices = [bits for bits in PREFERRED_BITS if bits in macro.choices(field)]
        if not choices:
            return None
        found.append(choices[0])
    weights, activations = found
    return weights, activations


def macro_pj(cost: CostReport) -> float:
    """Return the energy in the macro."""
    return sum(cost.components.get(name, 0.0) for name in get_args(CallComponent))


def main() -> None:
    """Print the table, the macros that save most first."""
    space, rows = Space(load_space_spec("resnet8")), []
    for name in (name for name in names("hardware") if name.startswith("macros/")):
        hardware = load_hardware(name)
        bits = bits_of(hardware.macro)
        if bits is None:
            continue
        network: Blueprint = space.uniform(weight_bits=bits[0], activation_bits=bits[1]).blueprint
        more, less = (
            estimate(network, hardware, Statistics(density_frac=density), allow_reload=True)
            for density in (0.5, 0.25)
        )
        of_macro = 1 - macro_pj(less) / macro_pj(more)
        of_all = 1 - less.energy_pj / more.energy_pj
        kind = f"{hardware.macro.compute_model}, {hardware.macro.weights.encoding}"
        row = f"| `{name}` | {kind} | {bits[0]} x {bits[1]} | "
        rows.append((of_macro, f"{row}{100 * of_macro:.1f} % | {100 * of_all:.1f} % |"))
    print("| macro | cells | bits | of macro | of all |\n|---|---|---|---|---|")
    for _, row in sorted(rows, reverse=True):
        print(row)


if __name__ == "__main__":
    main()
