"""What can be typed is documented, and what is documented can be typed."""

import re
from pathlib import Path

import click

from cimsearch.cli import cli
from cimsearch.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


def test_every_verb_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `cimsearch ((?:[a-z-]+ ?)+)", PAGE, re.MULTILINE)
    assert sorted(name.strip() for name in documented) == sorted(commands(cli))


def test_every_option_is_documented_with_its_verbs() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)[^|]*\| ([^|]+) \|", PAGE, re.MULTILINE)
    documented = {option: set(verbs.split(", ")) for option, verbs in rows}
    actual: dict[str, set[str]] = {}
    for verb, command in commands(cli).items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                actual.setdefault(max(parameter.opts, key=len), set()).add(verb)
    assert set(documented) == set(actual)
    for option, verbs in documented.items():
        if verbs != {"all that read"}:
            assert verbs == actual[option], option


def test_every_exit_code_is_documented() -> None:
    for code in ExitCode:
        assert re.search(rf"^\| {code.value} \|", PAGE, re.MULTILINE), code


def test_every_setting_is_documented() -> None:
    used = set()
    for path in (ROOT / "cimsearch").rglob("*.py"):
        used |= set(re.findall(r"\bCIMSEARCH_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert used == set(re.findall(r"^\| `(CIMSEARCH_[A-Z_]+)`", PAGE, re.MULTILINE))
