"""What to try next, and what is known of it before it is trained: import its modules by name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def make_sampler(name: str, seed: int = 0) -> "BaseSampler":
    """Return a sampler for plain Optuna studies, of any mixed space and number of objectives.

    A trial's parameters follow from ``seed``, its number and the trials that its study then has:
    nothing else. Parameters that a study has had before are not suggested again, where others
    are left.

    Args:
        name: As in a study file: ``auto``, ``nsga2``, ``tpe`` and so on.
        seed: Seed of all draws.

    Raises:
        UsageError: There is no sampler of that name, or it needs what is not installed.
    """
    from cimsearch.search.optuna_sampler import CimSampler

    return CimSampler(name, seed)
