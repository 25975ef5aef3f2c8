"""Characters as they were meant: mojibake, normal forms, control characters."""

import re
from collections.abc import Mapping
from typing import Any

from tasks.transforms.cleaning.arrow import one_by_one, pc, replaced, where

CONTROL = "[\\x00-\\x08\\x0e-\\x1f\\x7f\u0080-\u0084\u0086-\u009f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
# Bytes 0x80 to 0xBF as Windows-1252 shows them, those that it has none for as Latin-1 does; and all of them as Latin-1 does
_SHOWN = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xC0))
_TAIL = f"[{_SHOWN}\x80-\xbf]"
_QUOTES = "‘’“”–—…«»"
# UTF-8's sequences (Unicode 16, table 3-7) seen so. A letter before a quotation mark may be meant (IRMÃ”, café”—): what begins with other
# letters than Â, Ã, â and ð is read again in runs only, or where there is a control.
_PAIR, _TRIPLE = f"[Â-ß]{_TAIL}", f"[à-ï]{_TAIL}{_TAIL}"
_UNSEEN = "[\x80-\x9f]"  # controls are never meant
_MOJIBAKE = re.compile(
    f"(?:{_PAIR}|{_TRIPLE}){{2,}}|Â[\xa0-¿]|Ã(?![{_QUOTES}]){_TAIL}|(?<![A-ZÀ-Þ])Ã{_TAIL}|[Â-ß]{_UNSEEN}|â{_TAIL}{_TAIL}|ï[¬»¼½]{_TAIL}|"
    f"[à-ï](?:{_UNSEEN}{_TAIL}|{_TAIL}{_UNSEEN})|ð{_TAIL}{{3}}"
)
_BYTE = {ord(shown): 0x80 + place for place, shown in enumerate(_SHOWN)} | {code: code for code in range(0x80, 0x100)}
TIMES = 4
SUSPECT = f"[Â-ô]{_TAIL}"


def as_meant(texts: Any, step: Mapping[str, Any]) -> Any:
    """`repair`, `form` and `control` of UnicodePass, in this order. ASCII is looked at once only."""

    def change(some: Any) -> Any:
        if step["repair"]:
            some = where(some, pc.match_substring_regex(some, SUSPECT), one_by_one(repair))
        return some if step["form"] == "none" else pc.utf8_normalize(some, form=step["form"])

    texts = where(texts, pc.invert(pc.string_is_ascii(texts)), change)
    return replaced(texts, CONTROL, "") if step["control"] else texts


def repair(text: str) -> str:
    """`text` with UTF-8 that was read as Windows-1252 or Latin-1 read again, wherever its bytes are well formed; and again, as often as it was."""
    for _ in range(TIMES):
        text, before = _MOJIBAKE.sub(_read_again, text), text
        if text == before:
            break
    return text


def _read_again(match: re.Match[str]) -> str:
    try:
        return bytes(_BYTE[ord(character)] for character in match.group()).decode("utf-8")
    except UnicodeDecodeError:
        return match.group()
