"""Why the cheapest networks are physically sound, in words.

A winner that changes is a changed cost model: read its breakdown anew, then write why it is sound,
or mend the model. ``test_winners.py`` works the figures here out by hand.
"""

SMALLEST = (
    "The smallest network of the space: one layer a stage, the narrowest, three quarters of its "
    "filters pruned, so 2, 4 and 5 channels. Nothing of it is free: all 13 nodes have a price, "
    "the first and the last layer run on the digital unit at their fixed 8 bits, and pools move "
    "sums at full width through the buffer. "
)
LARGEST = (
    "The network is the largest, unpruned, so only bits and converters were free: each layer has "
    "the fewest bits there are. As many filters, pixels and pools as with 8 bits are read, added "
    "up and moved. "
)
_AREA = (
    "Area is in whole macros: a layer takes an array of its own however few of its cells it uses, "
    "so two layers on arrays are two macros, the least there is in a space of three stages with a "
    "digital first layer; buffers and digital unit are the system's. Many networks are as small; "
    "this one is the cheapest of them. "
)
_FULL_SCALE = (
    "A full-scale range is a power of two, so its codes are added up as they are; a range that is "
    "fitted to a layer needs a multiplication, which is what the other choice saves. Its coarser "
    "steps are in the numerics. "
)

WHY = {
    ("yu_cicc_2020", "any"): SMALLEST
    + "Energy: 20 output pixels times 2 input bits are 40 array calls, at each of which all 128 "
    "ADCs run, also those of the 118 or 120 columns without a weight: 1,300 pJ at one ramp step "
    "of 254 fJ. The chip reports that its ADC can be set to 1 bit, at 1/31 of the energy and time "
    "of 5 bits; such a network pays with its accuracy, which nobody counts here. Latency: 5 ns a "
    "call, as measured. " + _FULL_SCALE + _AREA,
    ("yu_cicc_2020", "largest"): LARGEST
    + "A ramp of one step ends a call after 5 ns. The first layer on arrays has 64 pixels, 2 "
    "input bits, and in the fuller of its two row tiles 2 row groups one after the other: 256 "
    "calls, 1,280 ns. Eleven macros: the rows of a layer, 9 a channel, need 2 or 3 arrays of 128 "
    "rows whatever the bits; fewer bits save arrays only where columns fill them, from 6 bits on. "
    "Most of the energy is that of the buffer. " + _FULL_SCALE,
    ("jia_jssc_2020", "any"): SMALLEST
    + "Energy: 40 array calls, at each of which all 256 ADCs convert their fixed 8 bits at the "
    "1.79 pJ published: 18,300 pJ; and all bitlines of 2,304 cells are charged though 18 or 36 "
    "rows are used. Such an array is the wrong tool for so few rows, and the price says so: over "
    "three times that on the small SRAM macros. Leakage is that of a large array over a long "
    "time. Latency: 1,350 ns a call, the chip's 54 cycles at 40 MHz. " + _AREA,
    ("jia_jssc_2020", "largest"): LARGEST
    + "Every layer fits into the 2,304 rows, so no sum is split: five layers, five macros. A call "
    "is 1,350 ns whatever is stored; two input bits are two calls a pixel, the fewest that the "
    "space has. The resolution of the ADC is fixed and all columns convert at each call, so fewer "
    "weight bits save little: less is added up behind the ADCs and moved.",
    ("jiang_vlsi_2018", "any"): SMALLEST
    + "Energy: 40 array calls, in each of which the one ADC reads 64 columns at 0.144 pJ: 369 pJ. "
    "Cells draw their read current only where a row is driven. Latency: 64 columns of 2.5 ns are "
    "160 ns a call, as measured; columns without weights are swept too, so pruned filters do not "
    "shorten a call. " + _FULL_SCALE + _AREA,
    ("jiang_vlsi_2018", "largest"): LARGEST
    + "With two columns an output, layers of 20 and 28 outputs fit into 64 columns; 42 outputs "
    "take two arrays, and four where there are more than 256 rows: nine macros. A call is 160 ns "
    "however full an array is, twice a pixel for two input bits. " + _FULL_SCALE,
    ("wan_nature_2022", "any"): SMALLEST
    + "Energy: 20 array calls, since an input is a train of pulses with one conversion at its "
    "end. All 256 neurons of a core integrate two pulses (2.27 pJ each) and convert 3 bits (0.32 "
    "pJ each): 28,200 pJ. Latency: two pulses of 1,420 ns and three bits of 50 ns are 2,990 ns a "
    "call. Cells are written once, so that is not in the energy of an inference; it is reported "
    "apart. " + _FULL_SCALE + _AREA,
    ("wan_nature_2022", "largest"): LARGEST
    + "A weight of 2 bits is one pair of cells as is one of 4, so fewer weight bits save neither "
    "cells nor conversions, only width of the sums behind them. Two pulses an input and 3 bits a "
    "conversion are the shortest call the space has, 2,990 ns; fewer ADC bits the chip does not "
    "have. Eleven macros: a layer needs 2 or 3 arrays of 128 rows. " + _FULL_SCALE,
    ("chih_isscc_2021", "any"): SMALLEST
    + "Energy: an adder tree of 256 inputs takes 1.19 pJ a call for each output that has weights, "
    "however few of its rows are used; 64 of them are 76 of the 92 pJ that the chip reports for a "
    "call. Trees of columns without weights add zeros and do not switch. Weights have 4 bits at "
    "least on this chip. Latency: 10 ns a call and input bit. " + _AREA,
    ("chih_isscc_2021", "largest"): LARGEST
    + "Inputs of 2 bits are 2 cycles of 10 ns a pixel, each of which adds up all rows of an "
    "array. Adding is exact, so there is no converter that a search could make worse; weights "
    "have 4 bits at least. Six macros for five layers: only the last has more rows than an array.",
}
