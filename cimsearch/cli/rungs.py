"""What a study of several rungs is said to be: how far each is, and whether it ranks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cimsearch.orchestrate.read.agreement import Agreement


def agreement_facts(agreements: "Sequence[Agreement]") -> list[dict[str, Any]]:
    """Return how far rungs agree as plain data for JSON."""
    return [
        {
            "rungs": [each.rung, each.rung + 1],
            "shared": each.shared,
            "kendall_tau": each.tau,
            "ranks": each.ranks,
        }
        for each in agreements
    ]


def print_agreements(agreements: "Sequence[Agreement]") -> None:
    """Print how far rungs agree; nothing where there is one."""
    for each in agreements:
        click.echo(each.text)


def by_rung_text(by_rung: Sequence[int]) -> str:
    """Return trials by rung, lowest first: ``18 + 6 + 2 at rungs 0 to 2``."""
    return f"{' + '.join(map(str, by_rung))} at rungs 0 to {len(by_rung) - 1}"
