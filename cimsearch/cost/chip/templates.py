"""Example tables, with what their columns mean as comments. The numbers are of simulated chips."""

from cimsearch.cost.chip.layouts import Kind
from cimsearch.cost.measured_table import TEMPLATE as OPERATING

_SUMS = """\
# A row is one read of one column: what the sum should be, and the code of its converter.
# chip, column: names. Rows that repeat all but the code are repeated reads: they tell noise.
# supply_v, temperature_c: may be left out; then the macro's own.
# ideal_sum: inputs times stored levels, added up: 0 to active rows x largest level x largest
#   input; with differential weights -half to +half of twice that.
# code: what the converter gave, 0 to 2^bits - 1.
# lsb, lo: the step of a code and the sum of code 0; may be left out: then the codes span the full
#   scale of the active rows, by the smallest power of two.
chip,column,supply_v,temperature_c,ideal_sum,code
"""

_SPREAD = """\
# A row is one ideal sum: the mean and the standard deviation of what was read for it.
# chip: may be left out; of several chips, what differs between them adds to the spread.
# ideal_sum, mean_sum, sigma_sum: in sums as inputs times stored levels; or ideal_frac, mean_frac,
#   sigma_frac: as shares of the full scale of the active rows.
chip,ideal_sum,mean_sum,sigma_sum
A,0,0.4,0.30
A,16,16.3,0.55
A,32,31.6,0.72
A,48,46.2,0.85
A,64,60.1,0.98
B,0,0.1,0.31
B,16,16.0,0.52
B,32,31.1,0.75
B,48,45.9,0.88
B,64,59.8,0.95
"""

_CONDUCTANCE = """\
# A row is one cell at one time after programming.
# chip: name. cell: a name that is the same at all times; may be left out.
# target_us: what it was programmed to. conductance_us: what it conducts. time_s: since then.
# At the earliest time each target needs five cells or more, two of them on one chip.
chip,cell,target_us,time_s,conductance_us
"""

_CONVERTER = """\
# A row is one code of one converter.
# chip, converter: names.
# inl_lsb: nonlinearity in steps of the converter; or dnl_lsb: width less 1 of every code.
# offset_mv (with full_scale_mv, the voltage of the full scale) or offset_lsb, and gain (1 is
#   right): one value a converter, in one of its rows or in all; may be left out.
chip,converter,code,inl_lsb,offset_lsb,gain
"""


def _sums() -> str:
    """Return reads of 3 x 2 columns, four times each, by a 5 bit converter of steps of 2."""
    columns = (
        ("A", "0", 1.02, 0.9),
        ("A", "1", 0.99, -1.4),
        ("B", "0", 1.00, 2.1),
        ("B", "1", 0.97, -0.3),
        ("C", "0", 1.01, 0.2),
        ("C", "1", 1.00, -1.2),
    )
    noise = (0.9, -1.1, 0.3, -0.4)
    rows = [
        f"{chip},{column},0.45,25,{ideal},{round((gain * ideal + offset + n) / 2)}"
        for chip, column, gain, offset in columns
        for ideal in (8, 15, 22, 29, 36, 43, 50)
        for n in noise
    ]
    return _SUMS + "\n".join(rows) + "\n"


def _conductance() -> str:
    """Return five cells of two chips at two targets and two times."""
    away = (-0.9, -0.2, 0.1, 0.3, 0.8)
    rows = [
        f"{chip},{target:g}_{index},{target:g},{time:g},"
        f"{(target + 2 * n) * chips * (time / 20) ** -(0.05 + 0.01 * n):.3f}"
        for chip, chips in (("A", 1.0), ("B", 0.99))
        for target in (10.0, 30.0)
        for index, n in enumerate(away)
        for time in (20.0, 2000.0)
    ]
    return _CONDUCTANCE + "\n".join(rows) + "\n"


def _converter() -> str:
    """Return six converters at nine of 32 codes."""
    settings = (
        ("A", "0", 0.5, 1.01, 0.4),
        ("A", "1", -0.3, 0.99, -0.2),
        ("B", "0", 0.1, 1.0, 0.6),
        ("B", "1", -0.4, 1.01, -0.3),
        ("C", "0", 0.2, 0.98, -0.5),
        ("C", "1", -0.1, 1.0, 0.3),
    )
    rows = [
        f"{chip},{name},{code},{4 * peak * code * (31 - code) / 31**2:.3f},{offset},{gain}"
        for chip, name, offset, gain, peak in settings
        for code in (0, 4, 8, 12, 16, 20, 24, 28, 31)
    ]
    return _CONVERTER + "\n".join(rows) + "\n"


def template(kind: Kind) -> str:
    """Return an example of a kind of table."""
    made = {"sums": _sums, "conductance": _conductance, "converter": _converter}
    fixed = {"operating": OPERATING, "spread": _SPREAD}
    return made[kind]() if kind in made else fixed[kind]
