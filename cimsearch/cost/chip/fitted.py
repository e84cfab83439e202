"""What a fit to chips says: numbers for a hardware file, measured beside model, chip by chip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from cimsearch.cost.chip.layouts import Kind
from cimsearch.cost.csv_cells import CsvFile

Value = float | str | bool | tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """A place where measured and modelled values can be compared.

    Attributes:
        series: What it belongs to, such as a time or a supply; empty if there is one alone.
        at: Ideal partial sum, target conductance or code.
        count: Measured values.
        mean: Mean of what was measured.
        sigma: Its standard deviation.
        model_mean: Mean that the fitted effects give.
        model_sigma: Standard deviation that they give.
    """

    series: str
    at: float
    count: int
    mean: float
    sigma: float
    model_mean: float
    model_sigma: float


@dataclass(frozen=True)
class ChipCheck:
    """A chip beside what a fit to the other chips says of it.

    Attributes:
        chip: Its name.
        draws: Independent static draws on it: columns, cells or converters.
        others: As many on the other chips.
        measured_rms: Of its values around the mean of the fit to the others.
        model_rms: What that fit expects.
        shared: Share of that variance that all of a chip have in common: one draw a chip.
        chips: The other chips.
    """

    chip: str
    draws: int
    others: int
    measured_rms: float
    model_rms: float
    shared: float = 0.0
    chips: int = 1

    @property
    def ratio(self) -> float:
        """Measured over modelled."""
        return self.measured_rms / self.model_rms if self.model_rms else float("inf")

    @property
    def limit(self) -> float:
        """How large a ratio is by chance: three standard deviations of normal draws."""
        apart, shared = (1 - self.shared) ** 2, self.shared**2
        own = apart / self.draws + shared
        return 1 + 3 * sqrt(0.5 * own + 0.5 * (apart / self.others + shared / self.chips))

    @property
    def alike(self) -> bool:
        """Whether the chip is as the others say, within chance."""
        return 1 / self.limit <= self.ratio <= self.limit

    @property
    def verdict(self) -> str:
        """What the ratio says, in words; one chip that is off makes the others look small."""
        if self.alike:
            return "as the others"
        return "off more than the others" if self.ratio > 1 else "off less than the others"


@dataclass(frozen=True)
class TableFit:
    """The effects fitted to one kind of table.

    Attributes:
        kind: Of the table.
        files: That it is from.
        noise: What the macro's ``noise`` becomes: values by dotted path below it.
        errors: Standard errors of those numbers that have one, by path.
        points: Measured beside model.
        at: What ``Point.at`` is, with its unit.
        value: What is measured at the points, with its unit.
        chips: Cross-validation: one entry a chip, or none.
        notes: What the reader has to know, a sentence each.
    """

    kind: Kind
    files: tuple[CsvFile, ...]
    noise: Mapping[str, Value]
    errors: Mapping[str, float]
    points: Sequence[Point]
    at: str
    value: str
    chips: Sequence[ChipCheck] = ()
    notes: Sequence[str] = field(default=())

    @property
    def names(self) -> str:
        """The files, for a message."""
        return ", ".join(str(file.path) for file in self.files)
