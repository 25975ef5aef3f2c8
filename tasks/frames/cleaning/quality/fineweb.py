"""FineWeb's own rules (Penedo et al. 2024, §3.6)."""

from typing import Any

from tasks.frames.arrow import pc
from tasks.frames.cleaning.quality.lines import Lines, true
from tasks.frames.cleaning.verdicts import Verdicts
from tasks.sections import FinewebPass

MARK = "[.!?。！？…;:,\"'”’」』)）]$"
SHORT = 30


def by_fineweb(wish: FinewebPass, texts: Any, verdicts: Verdicts) -> None:
    """Rules punctuated_lines, duplicate_lines and short_lines."""
    lines = Lines.of(texts)
    if (least := wish.min_punctuated_lines) is not None:
        shares = lines.share(true(pc.match_substring_regex(lines.lines, MARK)))
        verdicts.refuse(shares <= least, "punctuated_lines", shares, f"more than {least:g} of the lines")
    if (most := wish.max_duplicate_line_characters) is not None:
        shares = lines.share(lines.repeated, lines.characters)
        verdicts.refuse(shares >= most, "duplicate_lines", shares, f"less than {most:g} of the characters")
    if (most := wish.max_short_lines) is not None:
        shares = lines.share(lines.characters < SHORT)
        verdicts.refuse(shares >= most, "short_lines", shares, f"less than {most:g} of the lines")
