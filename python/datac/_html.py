"""Tables for notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

LONGEST = 200
"""Number of characters that are shown of a value."""


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """Returns a table as HTML; texts stand at the left, numbers at the right."""
    parts = ["<table>"]
    if caption:
        parts.append(f"<caption>{escape(caption)}</caption>")
    parts.append("<thead><tr>" + "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in head) + "</tr></thead>")
    parts.append("<tbody>")
    for row in rows:
        parts.append("<tr>" + "".join(map(_cell, row)) + "</tr>")
    return "".join([*parts, "</tbody></table>"])


def _cell(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td style="text-align:right">{value:,}</td>'
    if value is None:
        return "<td></td>"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f'<td style="text-align:left;white-space:pre-wrap">{escape(text)}</td>'
