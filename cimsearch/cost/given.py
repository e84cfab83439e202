"""What callers hand in, checked where types alone do not hold them to it."""

from cimsearch.errors import UsageError
from cimsearch.spec.hardware import Hardware
from cimsearch.spec.study import Statistics


def check_hardware(hardware: object) -> None:
    """Check that ``hardware`` is loaded: a name or a path alone is the likeliest mistake.

    Raises:
        UsageError: It is anything but ``Hardware``.
    """
    if isinstance(hardware, Hardware):
        return
    raise UsageError(
        f"hardware: found {hardware!r}; allowed is what load_hardware returns",
        f"pass load_hardware({hardware!r})" if isinstance(hardware, str) else "",
    )


def check_statistics(statistics: object) -> None:
    """Check that ``statistics`` can be used without the names of layers.

    Raises:
        UsageError: They are declared of layers by name.
    """
    if isinstance(statistics, Statistics) and statistics.layers:
        raise UsageError(
            f"statistics: layers: found {statistics.layers[0].layer!r}; a layer table does not "
            "name its layers",
            "pass named_statistics(statistics, names), with the name of each node of the table",
        )
