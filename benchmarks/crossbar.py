"""What the exact, bit-serial convolution costs, as ratios to the float one of the same run.

Convolution 64 -> 64, 3 x 3, 16 x 16 images, 8 bit unsigned inputs one bit at a time, 8 bit weights
with an offset, 256 rows, 5 bit ADC over the full scale. One thread, processor time, best of
several rounds that take turns. Run: ``python benchmarks/crossbar.py``; about a minute.
"""

from collections.abc import Callable
from functools import partial
from math import ceil, log2
from time import process_time

import torch
from torch import Tensor
from torch.nn import functional

from cimsearch.cim import CrossbarScheme
from cimsearch.cim.bitserial import Inputs, Packed, convolve, pack
from cimsearch.cim.epilogue import Epilogue, compiled, compiles, eager
from cimsearch.cim.geometry import Geometry
from cimsearch.cim.slicing import weight_slice_values
from cimsearch.cost.layer_integers import full_scale, row_groups
from cimsearch.evaluate.machine import fingerprint, keep_freed_memory, one_thread

CHANNELS, SIZE, BITS, ROWS, ADC_BITS = 64, 16, 8, 256, 5
IMAGES, FLOAT_IMAGES, ROUNDS = 8, 64, 4
ERROR_LEVELS = 0.05
GOALS = {1: 40, 2: 20}


def geometry() -> Geometry:
    """Return the geometry of the convolution."""
    groups = tuple(row_groups(9 * CHANNELS, ROWS, ROWS))
    return Geometry((3, 3), (1, 1), (1, 1), 1, groups)


def packed(weights: Tensor, cell_bits: int, dtype: torch.dtype | None, errors: Tensor) -> Packed:
    """Return weights (k, n) ready to multiply, with errors of their cells in cell levels."""
    span = full_scale(ROWS, 1, cell_bits, signed=False)
    lsb = 2.0 ** (ceil(log2(span)) - ADC_BITS)
    scheme = CrossbarScheme(BITS, BITS, ROWS, cell_bits=cell_bits, adc_bits=ADC_BITS, adc_lsb=lsb)
    stored = weight_slice_values(weights, scheme)
    return pack(
        stored + errors[:, : stored.shape[1]],
        inputs=Inputs(BITS, 1, scheme.plane_weights),
        slice_weights=scheme.slice_weights,
        row_groups=geometry().row_groups,
        adc_bits=ADC_BITS,
        adc_lo=torch.tensor(0.0),
        adc_lsb=torch.tensor(lsb),
        kernel_area=9,
        offset=scheme.offset,
        dtype=dtype,
    )


def images_per_second(work: dict[str, tuple[int, Callable[[], Tensor]]]) -> dict[str, float]:
    """Return the speed of functions that convolve some images: the best of their rounds."""
    best = dict.fromkeys(work, 0.0)
    for _, convolution in work.values():
        convolution()
    for _ in range(ROUNDS):
        for name, (images, convolution) in work.items():
            start = process_time()
            convolution()
            best[name] = max(best[name], images / (process_time() - start))
    return best


def type_of(weights: Packed) -> str:
    """Return the type of the matrix products."""
    types = {str(g.matrix.dtype) for g in weights.groups if g.matrix is not None}
    return ", ".join(sorted(types)).replace("torch.", "")


def engines(x: Tensor, cell_bits: int, best: Epilogue) -> dict[str, Callable[[], Tensor]]:
    """Return ways to convolve ``x``: the same function, but the last, which has static noise."""
    generator = torch.Generator().manual_seed(0)
    rows = 9 * CHANNELS
    weights = torch.randint(-128, 128, (rows, CHANNELS), generator=generator)
    errors = torch.randn(1, BITS, rows, CHANNELS, generator=generator).mul_(ERROR_LEVELS)
    none = torch.zeros_like(errors)
    ways = {
        "fastest type, best epilogue": (packed(weights, cell_bits, None, none), best),
        "bfloat16 where exact, best epilogue": (
            packed(weights, cell_bits, torch.bfloat16, none),
            best,
        ),
        "fastest type, eager epilogue": (packed(weights, cell_bits, None, none), eager),
        "float32, best epilogue": (packed(weights, cell_bits, torch.float32, none), best),
        "static noise, best epilogue": (packed(weights, cell_bits, None, errors), best),
    }
    g = geometry()
    products: dict[str, Callable[[], Tensor]] = {
        f"{name} ({type_of(p)})": partial(convolve, x, (p,), g, convert=epilogue)
        for name, (p, epilogue) in ways.items()
    }
    exact = [product() for product in products.values()][:-1]
    if not all(torch.equal(y, exact[0]) for y in exact):
        raise SystemExit("results differ")
    return products


def main() -> None:
    """Print the report."""
    keep_freed_memory()
    best = compiled if compiles() else eager
    print(f"bit-serial convolution, {BITS} bit, {ROWS} rows, {ADC_BITS} bit ADC; {fingerprint()}")
    print(f"one thread; the best epilogue is {best.__name__}")
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (FLOAT_IMAGES, CHANNELS, SIZE, SIZE), generator=generator)
    images = x.float().contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3, generator=generator)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    with one_thread():
        for cell_bits, goal in GOALS.items():
            work: dict[str, tuple[int, Callable[[], Tensor]]] = {
                "float": (FLOAT_IMAGES, partial(functional.conv2d, images, kernel, padding=1))
            }
            for name, product in engines(x[:IMAGES], cell_bits, best).items():
                work[name] = (IMAGES, product)
            speeds = images_per_second(work)
            base = speeds.pop("float")
            print(f"\ncells of {cell_bits} bit, goal {goal} x; float {base:.0f} images/s")
            for name, speed in speeds.items():
                print(f"  {name:50} {speed:6.1f} images/s  {base / speed:6.1f} x the float time")


if __name__ == "__main__":
    main()
