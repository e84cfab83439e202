"""Small HTML: whatever is not known to be HTML is escaped."""

import json
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from cimsearch.figures.scale import ARROW
from cimsearch.figures.tables import Table


def write_page(page: str, path: Path) -> None:
    """Write an HTML page to ``path``, whole or not at all.

    Raises:
        OSError: The file cannot be written there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as HTML, escaped unless it is ``Html``."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(parts: Iterable[object]) -> Html:
    """Return the parts one after the other."""
    return Html("".join(text(part) for part in parts))


def tag(name: str, *children: object, **attributes: str) -> Html:
    """Return an element; an attribute's ``_`` is written ``-``, and one at the end is dropped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def json_script(name: str, data: Any) -> Html:
    """Return data as an element that a script can read; it cannot end the element early."""
    written = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Html(written), id=name, type="application/json")


def sideways(content: Html, label: str) -> Html:
    """Return what may be wider than the page: it scrolls, and then the page says so."""
    hint = tag("p", f"wider than the page: scroll {ARROW}", class_="hint", aria_hidden="true")
    scroll = tag("div", content, class_="scroll", tabindex="0", role="region", aria_label=label)
    return tag("div", hint, scroll, class_="frame")


def table(data: Table) -> Html:
    """Return a table with its caption; it scrolls sideways where the page is narrow."""
    head = tag(
        "tr",
        *(
            tag("th", column, scope="col", class_="words" if column in data.words else "number")
            for column in data.columns
        ),
    )
    rows = []
    for row, anchor in zip(data.rows, data.anchors or ("",) * len(data.rows), strict=True):
        first = tag("a", row[0], href=anchor) if anchor else row[0]
        cells = (
            tag("td", cell, class_="words" if column in data.words else "number")
            for column, cell in zip(data.columns[1:], row[1:], strict=True)
        )
        rows.append(tag("tr", tag("th", first, scope="row"), *cells))
    body = tag("table", tag("caption", data.caption), tag("thead", head), tag("tbody", *rows))
    wrapped = sideways(body, data.caption)
    return join([wrapped, tag("p", data.note, class_="note") if data.note else ""])
