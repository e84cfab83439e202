"""Why the cheapest machines are physically sound, in words; see ``reasons.py``."""

from tests.loopholes.reasons import LARGEST, SMALLEST

_COARSE = (
    "Conversions have 4 bits, the fewest there are: each bit less is a step less of each "
    "conversion, and half of a capacitor array. What is then not told apart is in the numerics. "
)
_LOW = (
    "The supply is the lowest: capacitors take the square of it, at the same area. Gates are "
    "slower by the technology's exponent, and a noise in volts stands against a smaller swing. "
)
_HIGH = (
    "The supply is the highest that is offered: gates and converters are fastest there, and their "
    "energy is that of its square. "
)
_TWO_BITS = (
    "Inputs of 2 bits come at once, by DACs of 2 bits: half of the array calls, whose converters "
    "and bitlines cost more than the DACs. DACs of 4 bits would be dearer for nothing. The price "
    "is paid by accuracy: a full scale three times as large, read with noise in proportion. "
)
_ONE_BIT = (
    "Inputs come bit by bit: a driver of one bit is the smallest, and time is not asked for. "
)
_SHARED = (
    "Sixteen columns share an ADC, the most there are: the smallest area of converters, which "
    "work one after the other; each conversion takes as much as before. "
)
_OWN = (
    "Four columns share an ADC, the fewest there are: the shortest row of conversions, on four "
    "times the area of converters that sixteen would take. "
)
_SMALL_ARRAYS = (
    "Arrays are the smallest, 64 by 64: layers of 18 and 36 rows and a few columns use a fraction "
    "of any, and what they do not use is charged, converted and covers area. All their rows are "
    "driven at once, as fewer would be more calls. "
)
_TALL_ARRAYS = (
    "Arrays are tall and narrow, 256 by 64, and all rows are driven at once: a layer of 180 to "
    "378 rows is in one or two of them, so each sum is converted once or twice and not three to "
    "six times, and nine macros do where 64 rows take thirty. 256 rows are read by 4 bits as 64 "
    "are: what that loses, and the noise of a fourfold full scale, accuracy pays. Narrow, as "
    "outputs of 2 bits take 40 to 84 columns. "
)
_SHORT_LINES = (
    "Arrays are the smallest: short lines settle fastest. A layer is spread over the more of them "
    "(thirty macros, the dearest area there is), which work at the same time; the sums of their "
    "rows are added up behind the converters, a few adders' delays. "
)

WHY = {
    ("any", "energy_pj"): SMALLEST
    + _SMALL_ARRAYS
    + _COARSE
    + _LOW
    + _TWO_BITS
    + _SHARED
    + "It is less area to leak, too.",
    ("any", "latency_ns"): SMALLEST + _SMALL_ARRAYS + _COARSE + _HIGH + _TWO_BITS + _OWN,
    ("any", "area_um2"): SMALLEST
    + _SMALL_ARRAYS
    + _COARSE
    + _ONE_BIT
    + _SHARED
    + "Supply does not change area; the lowest is the cheapest.",
    ("largest", "energy_pj"): LARGEST + _TALL_ARRAYS + _COARSE + _LOW + _TWO_BITS + _SHARED,
    ("largest", "latency_ns"): LARGEST + _SHORT_LINES + _COARSE + _HIGH + _TWO_BITS + _OWN,
    ("largest", "area_um2"): LARGEST
    + _TALL_ARRAYS
    + _COARSE
    + _ONE_BIT
    + _SHARED
    + "Supply does not change area; the lowest is the cheapest.",
}
