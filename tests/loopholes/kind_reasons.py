"""Why the cheapest machines of other kinds are physically sound, in words; see ``reasons.py``."""

from tests.loopholes.reasons import LARGEST, SMALLEST

_BITS = {
    "qs": "A ramp of 3 bits has 7 steps, the fewest offered, in energy as in time. ",
    "is": "Conversions have 3 bits, the fewest offered: three steps each, and a bit less is "
    "nearly half of the area. ",
    "resistive": "Conversions have 4 bits, the fewest offered. Cells hold 2 bits: the offset "
    "weights of 2 bits take one column and not two, with levels a third as far apart. ",
    "pulses": "Conversions have 4 bits, the fewest offered. Cells hold 2 bits; with weights of 2 "
    "bits, a sign and one bit, 3 would save no column and read over a larger full scale. ",
    "digital": "Weights of 4 bits are the fewest there are. Sums are exact: no machine of this "
    "kind loses signal, so only energy, time and area are weighed against each other. ",
    "system": "Conversions have 4 bits, the fewest offered: less of energy, time and area. ",
}
_AT_ONCE = (
    "Inputs of 2 bits come at once by DACs: half of the calls with half of the conversions, for "
    "the area of the DACs and a full scale three times as large. "
)
_PULSES = (
    "An input is a train of two pulses with one conversion at its end; bit by bit there would be "
    "two. Drivers are the same for both, as pulses have no levels; the full scale is that of 8 "
    "bits, which accuracy pays. "
)
_TREES_AT_ONCE = (
    "Both input bits are added at once, in two trees an output: half of the cycles for twice the "
    "area of trees. "
)
_SERIAL = (
    "Inputs come bit by bit: the smallest drivers, or one tree an output; time is not asked. "
)
_SUPPLY = {
    "energy_pj": "The supply is the lowest: the square of it in energy, and slower gates. ",
    "latency_ns": "The supply is the highest offered: the fastest gates, for the square of it in "
    "energy. ",
    "area_um2": "Supply does not change area; the lowest is the cheapest. ",
}
_SMALL = (
    "Arrays are the smallest and all of their rows are driven at once: 18 and 36 rows of a few "
    "columns are in use, and what is not used is charged, converted and covers area. "
)
_TALL = (
    "Arrays have the most rows offered, so that a layer of 180 to 378 rows is in few of them: "
    "fewer converters and drivers, and inputs go fewer ways. "
)
_MANY_ROWS = (
    "As many rows are driven at once as offered, for the fewest conversions; sums of more rows "
    "are converted with noise of a larger full scale. "
)
_SHORT = (
    "Arrays are the smallest: lines settle fastest, and the parts of a layer work at the same "
    "time in many arrays, whose area and whose ways of inputs are the price. "
)
_LARGE_TREES = (
    "Trees add 256 rows in one cycle, and arrays are the largest, so inputs go to few of them. "
    "The price is the area of trees: the chip is seven times as large as the smallest. "
)
_SHARED = "As many columns as offered share a converter: the least area, one after the other. "
_APART = "As few columns as offered share a converter: the shortest sweep, for its area. "
_WAITING = (
    "Converters are shared by the fewer columns offered, although that is more area: a shorter "
    "sweep is less time for all of the chip to leak. "
)
_GROUPS = (
    "Of 256 rows 64 are driven at once: groups follow each other through the same converters, "
    "which costs only time; rows of cells are small. "
)
_NEURONS = (
    "A neuron reads a pair of lines, as on the chip: what integrates a line is part of its area, "
    "so how many share one cannot be searched. "
)
_TREE_GROUPS = (
    "Four groups of 64 rows use the same trees one after the other: a quarter of the area of "
    "trees for four times the cycles. Choosing the group costs nothing in the model. "
)
_FITS = "Of the numbers of macros offered it is the least that holds all weights: written once. "
_ONE_MACRO = (
    "One macro of the smallest is built, and weights are read from off-chip memory at every "
    "inference: the least area, and more than half of the energy. "
)


def why(kind: str, network: str, objective: str) -> str:
    """Return the reason why the cheapest network on the machines of a kind is sound."""
    small, parts = network == "any", [_BITS[kind], _inputs(kind, objective), _SUPPLY[objective]]
    if kind == "system" and objective == "area_um2":
        parts.append(_ONE_MACRO)
    elif kind == "digital":
        parts.append(_trees(small, objective))
    else:
        parts.append(_SMALL if small else _SHORT if objective == "latency_ns" else _TALL)
        parts.append(_groups(kind, small, objective))
    parts.append(_sharing(kind, objective))
    if kind == "system" and objective != "area_um2":
        parts.append(_FITS)
    return (SMALLEST if small else LARGEST) + "".join(parts).strip()


def _inputs(kind: str, objective: str) -> str:
    if kind == "pulses":
        return _PULSES
    if kind == "digital":
        return _TREES_AT_ONCE if objective == "latency_ns" else _SERIAL
    return _SERIAL if objective == "area_um2" else _AT_ONCE


def _trees(small: bool, objective: str) -> str:
    if small:
        return _SMALL
    return _LARGE_TREES if objective == "latency_ns" else _TALL + _TREE_GROUPS


def _groups(kind: str, small: bool, objective: str) -> str:
    if small or objective == "latency_ns":
        return ""
    return _GROUPS if kind == "resistive" else _MANY_ROWS


def _sharing(kind: str, objective: str) -> str:
    if kind == "digital":
        return ""
    if objective == "latency_ns":
        return _APART
    if kind == "resistive" and objective == "energy_pj":
        return _WAITING
    return _NEURONS if kind == "pulses" else _SHARED
