"""White space and case."""

from collections.abc import Mapping
from typing import Any

from tasks.transforms.cleaning.arrow import pc, replaced

# Unicode's Zs but for the plain space, and the tabs (Unicode 16, PropList: White_Space)
WIDE = "[\t\v\f\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+"
ENDS = "\r\n?|[\u0085\u2028\u2029]"


def single(texts: Any, step: Mapping[str, Any]) -> Any:
    """One plain space between words and none at the ends of lines; at most one empty line, or with `lines: join` no line ends at all.

    The ends of a text stay, but for that: of a passage they count.
    """
    texts = replaced(replaced(texts, ENDS, "\n"), WIDE, " ")
    if step["lines"] == "join":
        return replaced(texts, " *\n[ \n]*|  +", " ")
    texts = replaced(texts, "  +", " ")
    return replaced(replaced(texts, " \n", "\n"), "\n{3,}", "\n\n")


def lower(texts: Any, step: Mapping[str, Any]) -> Any:
    """Lower case, letter by letter."""
    return pc.utf8_lower(texts)
