"""The exact function of a crossbar, as plainly as it can be written: one loop a symbol.

y[m,n] = sum_t sum_b sum_s cb(b) * cs(s) * ADC(P[t,b,s,m,n])  -  off * sum_k x[m,k]
P      = sum over rows k of group t of plane_b(x[m,k]) * slice_s(w[k,n])
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def planes(x: Ints, x_bits: int, dac_bits: int, *, signed: bool) -> list[tuple[int, Ints]]:
    """Weight and values of each input plane, from the least significant."""
    if signed:
        assert dac_bits == 1
        bits = [(2**b, (x >> b) & 1) for b in range(x_bits)]
        weight, values = bits[-1]
        return [*bits[:-1], (-weight, values)]
    return [
        (2**b, (x >> b) & (2 ** min(dac_bits, x_bits - b) - 1)) for b in range(0, x_bits, dac_bits)
    ]


def slices(w: Ints, w_bits: int, cell_bits: int, encoding: str) -> list[tuple[int, int, Ints]]:
    """Index of the slice, its weight and its stored values; two of an index are two halves."""
    chunk = 2**cell_bits - 1
    if encoding == "offset":
        stored = w + 2 ** (w_bits - 1)
        return [
            (i, 2**s, (stored >> s) & chunk) for i, s in enumerate(range(0, w_bits, cell_bits))
        ]
    if encoding == "twos_complement":
        assert cell_bits == 1
        return [(s, -(2**s) if s == w_bits - 1 else 2**s, (w >> s) & 1) for s in range(w_bits)]
    out = []
    for i, s in enumerate(range(0, w_bits - 1, cell_bits)):
        if encoding == "differential":
            out.append((i, 2**s, np.sign(w) * ((np.abs(w) >> s) & chunk)))
        else:
            out.append((i, 2**s, (np.maximum(w, 0) >> s) & chunk))
            out.append((i, -(2**s), (np.maximum(-w, 0) >> s) & chunk))
    return out


def row_groups(k: int, rows: int, active_rows: int) -> Iterator[tuple[int, int]]:
    """Rows [start, stop) that are converted together, in order."""
    for tile in range(0, k, rows):
        end = min(tile + rows, k)
        for start in range(tile, end, active_rows or rows):
            yield start, min(start + (active_rows or rows), end)


def adc(p: Floats, bits: int, lo: Floats, lsb: Floats) -> Floats:
    """Convert partial sums; 0 bits is an ideal converter."""
    if bits == 0:
        return p
    code = np.clip(np.rint((p - lo) / lsb), 0, 2**bits - 1)
    value: Floats = lo + lsb * code
    return value


def crossbar(
    x: Ints,
    w: Ints,
    *,
    x_bits: int,
    w_bits: int,
    encoding: str,
    rows: int,
    x_signed: bool = False,
    dac_bits: int = 1,
    cell_bits: int = 1,
    active_rows: int = 0,
    adc_bits: int = 0,
    adc_lo: Floats | float = 0.0,
    adc_lsb: Floats | float = 1.0,
    adc_noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Floats:
    """Return y (m, n) for integer x (m, k) and w (k, n).

    ``adc_lo`` and ``adc_lsb`` broadcast to (row groups, slices, n); ``adc_noise`` is the standard
    deviation of normal noise before each conversion.
    """
    groups = list(row_groups(x.shape[1], rows, active_rows))
    stored = slices(w, w_bits, cell_bits, encoding)
    shape = (len(groups), max(i for i, _, _ in stored) + 1, w.shape[1])
    lo, lsb = np.broadcast_to(adc_lo, shape), np.broadcast_to(adc_lsb, shape)
    y = np.zeros((x.shape[0], w.shape[1]))
    for t, (start, stop) in enumerate(groups):
        for cb, plane in planes(x, x_bits, dac_bits, signed=x_signed):
            for s, cs, values in stored:
                p = (plane[:, start:stop] @ values[start:stop]).astype(np.float64)
                if rng is not None:
                    p = p + adc_noise * rng.standard_normal(p.shape)
                y += cb * cs * adc(p, adc_bits, lo[t, s], lsb[t, s])
    if encoding == "offset":
        y -= 2 ** (w_bits - 1) * x.sum(axis=1, keepdims=True)
    return y
