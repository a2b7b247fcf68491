"""What the frame of every page needs."""

from __future__ import annotations

import json

from django import template

register = template.Library()
#: No inline style or code, which the content policy forbids; no copies of pages in the browser's
#: storage, where the next person at the machine could read them.
HTMX_CONFIG = {
    "includeIndicatorStyles": False,
    "allowEval": False,
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
}


@register.simple_tag
def htmx_config() -> str:
    """The configuration of htmx as its meta element carries it."""
    return json.dumps(HTMX_CONFIG)
