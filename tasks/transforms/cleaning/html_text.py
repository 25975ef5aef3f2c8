"""HTML → the text that a reader sees. By the names of HTML's elements, so that `a < b` and `List<int>` stay; no parser, no scripts, no layout."""

import html
from collections.abc import Mapping
from typing import Any

from tasks.transforms.cleaning.arrow import one_by_one, pc, replaced, where

# HTML Living Standard, index of elements, and the obsolete ones that still come
UNSEEN = ("script", "style", "head", "template", "noscript", "iframe", "object", "svg", "math", "textarea", "select")
BLOCKS = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol optgroup option p pre search section summary table tbody tfoot thead "
    "title tr ul"
)
CELLS = "td th"
INLINE = (
    "a abbr acronym area audio b base bdi bdo big button canvas cite code col colgroup data datalist del dfn em embed font frame frameset "
    "i img input ins kbd label link map mark meta meter nobr output param picture progress q rp rt ruby s samp slot small source span "
    "strike strong sub sup time track tt u var video wbr"
)


def _tag(names: str) -> str:
    return f"(?i)</?(?:{names.replace(' ', '|')})(?:[\\s/][^<>]*)?>"


ELEMENTS = "|".join(f"<{name}(?:\\s[^<>]*)?>.*?</{name}\\s*>" for name in UNSEEN)
WITHOUT = f"(?is)<!--.*?-->|<!doctype[^>]*>|<!\\[CDATA\\[|\\]\\]>|{ELEMENTS}"
REMAINS = _tag(" ".join((*UNSEEN, INLINE)))


def as_read(texts: Any, step: Mapping[str, Any]) -> Any:
    """Elements that are not seen leave with what is in them; blocks end a line, cells are parted by a space; entities are characters."""
    texts = where(texts, pc.match_substring(texts, "<"), _without_tags)
    return where(texts, pc.match_substring(texts, "&"), one_by_one(html.unescape))


def _without_tags(texts: Any) -> Any:
    for pattern, by in ((WITHOUT, ""), (_tag(BLOCKS), "\n"), (_tag(CELLS), " "), (REMAINS, "")):
        texts = replaced(texts, pattern, by)
    return texts
