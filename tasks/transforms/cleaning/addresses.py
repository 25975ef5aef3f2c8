"""E-mail and IP addresses in a buffer of texts."""

import ipaddress
import re

import numpy as np

from tasks.transforms.cleaning.runs import Window, runs_of, windows

# RFC 5321 §4.5.3.1: 64 bytes before the @, 255 after it. Quoted names, and letters beyond ASCII (RFC 6531), are not looked for.
NAME = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9._%+&'\-]{0,62}[A-Za-z0-9_+\-])?$")
DOMAIN = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})(?![A-Za-z0-9-])")
FILES = frozenset(b"png jpg jpeg gif svg webp bmp ico css js py txt html".split())  # icon@2x.png
V4 = re.compile(rb"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)")
VERSION = re.compile(
    rb"(?:\bv|\bver|version|release|section|chapter|rev|build|\xc2\xa7|\xe7\x89\x88\xe6\x9c\xac)[ .:#]{0,2}$",
    re.IGNORECASE,
)
V6 = re.compile(rb"(?<![0-9A-Za-z:._-])[0-9A-Fa-f:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z:_])")
DIGIT = np.zeros(256, bool)
DIGIT[48:58] = True
_DOTTED = DIGIT.copy()
_DOTTED[ord(".")] = True
_HEX = DIGIT.copy()
_HEX[list(b"abcdefABCDEF:")] = True
_WORD = DIGIT.copy()
_WORD[[*range(65, 91), *range(97, 123)]] = True


def emails(buffer: np.ndarray, offsets: np.ndarray) -> list[tuple[int, int, str]]:
    """Where an address stands: a name, @, and a domain whose end is of letters."""
    places = np.flatnonzero(buffer == ord("@"))
    places = places[(places > 0) & (places < len(buffer) - 1)]
    places = places[_WORD[buffer[places + 1]] & (buffer[places - 1] > 32)]
    found = []
    for window in windows(buffer, offsets, places, places + 1, 64, 255):
        name = NAME.search(window.text, 0, window.head)
        domain = DOMAIN.match(window.text, window.head + 1)
        if name and domain and domain.group(1).lower() not in FILES and b".." not in name.group():
            found.append((window.start + name.start(), window.start + domain.end(), "email"))
    return found


def ips(buffer: np.ndarray, offsets: np.ndarray) -> list[tuple[int, int, str]]:
    """IPv4 in four parts (no version, no section, no part of something longer), and IPv6; this machine's own and `any` are nobody's."""
    starts, stops = runs_of(_DOTTED[buffer])
    dots = np.cumsum(buffer == ord("."), dtype=np.int32)
    some = (stops - starts >= 7) & (dots[stops - 1] - dots[starts] + (buffer[starts] == ord(".")) >= 3)
    found = [one for window in windows(buffer, offsets, starts[some], stops[some], 16, 2) for one in _v4(window)]
    if np.any((buffer[1:] == ord(":")) & (buffer[:-1] != ord(" "))):
        starts, stops = runs_of(_HEX[buffer])
        colons = np.cumsum(buffer == ord(":"), dtype=np.int32)
        some = (stops - starts >= 4) & (colons[stops - 1] - colons[starts] + (buffer[starts] == ord(":")) >= 2)
        found += [one for window in windows(buffer, offsets, starts[some], stops[some], 1, 16) for one in _v6(window)]
    return found


def _v4(window: Window) -> list[tuple[int, int, str]]:
    matches = (
        match for match in V4.finditer(window.text, window.head) if not VERSION.search(window.text, 0, match.start())
    )
    return [window.place(match, "ip") for match in matches if _is_somebodys(match.group())]


def _v6(window: Window) -> list[tuple[int, int, str]]:
    """With a digit, and of three groups at least: `Face::Add` and `a::b` are names in programs."""
    matches = (match for match in V6.finditer(window.text, window.head) if re.search(rb"\d", match.group()))
    groups = ((match, len([group for group in match.group().split(b":") if group])) for match in matches)
    return [
        window.place(match, "ip")
        for match, count in groups
        if (count >= 3 or match.group().startswith((b"2", b"fe80", b"FE80", b"fd", b"fc")))
        and _is_somebodys(match.group())
    ]


def _is_somebodys(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
