"""What the frame of every page needs."""

from __future__ import annotations

import json

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from magnetfund.core.glossary import TERMS

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


@register.simple_tag
def term(name: str, shown: str = "") -> SafeString:
    """A term of the glossary with its definition on hover; ``shown`` is another form of the word.

    Raises :class:`KeyError` for a term that the glossary does not hold.
    """
    return format_html('<abbr title="{}">{}</abbr>', TERMS[name], shown or name)
