"""E-mail and IP addresses in a buffer of texts."""

import ipaddress
import re

import numpy as np

from tasks.transforms.cleaning.runs import Window, windows

# RFC 5321 §4.5.3.1: 64 bytes before the @, 255 after it. Quoted names, and letters beyond ASCII (RFC 6531), are not looked for.
NAME = re.compile(rb"[A-Za-z0-9](?:[A-Za-z0-9._%+&'\-]{0,62}[A-Za-z0-9_+\-])?$")
DOMAIN = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})(?![A-Za-z0-9-])")
FILES = frozenset(b"png jpg jpeg gif svg webp bmp ico css js py txt html".split())  # icon@2x.png
V4 = re.compile(rb"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)")
VERSION = re.compile(
    rb"(?:\bv|\bver|version|release|section|chapter|rev|build|\xc2\xa7|\xe7\x89\x88\xe6\x9c\xac)[ .:#]{0,2}$",
    re.IGNORECASE,
)
V6 = re.compile(rb"(?<![0-9A-Za-z:._-])[0-9A-Fa-f:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![0-9A-Za-z:_]|\.\d)")
USED = re.compile(rb"2[0-9a-f]{3}:|fe80:|f[cd][0-9a-f]{2}:|::ffff:", re.IGNORECASE)  # IANA, IPv6 address space


def emails(buffer: np.ndarray, offsets: np.ndarray) -> list[tuple[int, int, str]]:
    """Where an address stands: a name, @, and a domain whose end is of letters."""
    places = np.flatnonzero(buffer == ord("@"))
    places = places[(places > 0) & (places < len(buffer) - 1)]
    after = buffer[places + 1]
    places = places[(_is_digit(after) | ((after | 0x20) - np.uint8(ord("a")) < 26)) & (buffer[places - 1] > 32)]
    found = []
    for window in windows(buffer, offsets, places, places + 1, 64, 255):
        name = NAME.search(window.text, 0, window.head)
        domain = DOMAIN.match(window.text, window.head + 1)
        if name and domain and domain.group(1).lower() not in FILES and b".." not in name.group():
            found.append((window.start + name.start(), window.start + domain.end(), "email"))
    return found


def ips(buffer: np.ndarray, offsets: np.ndarray) -> list[tuple[int, int, str]]:
    """IPv4 in four parts (no version, no section, no part of something longer), and IPv6; this machine's own and `any` are nobody's."""
    digit = _is_digit(buffer)
    dots = np.flatnonzero((buffer[1:-1] == ord(".")) & digit[:-2] & digit[2:]) + 1
    firsts = np.flatnonzero(dots[2:] - dots[:-2] <= 8)  # three dots, no more than three digits between them
    places = np.unique(dots[firsts] - 1)
    found = [one for window in windows(buffer, offsets, places, places, 19, 20) for one in _v4(window)]
    colons = np.flatnonzero(buffer == ord(":"))
    near = np.flatnonzero(np.diff(colons) <= 5)  # two colons, no more than four digits between them
    places = np.unique(colons[near])
    return found + [one for window in windows(buffer, offsets, places, places, 45, 45) for one in _v6(window)]


def _is_digit(buffer: np.ndarray) -> np.ndarray:
    return buffer - np.uint8(48) < 10


def _v4(window: Window) -> list[tuple[int, int, str]]:
    matches = (match for match in V4.finditer(window.text) if match.start() <= window.head < match.end())
    plain = (match for match in matches if not VERSION.search(window.text, 0, match.start()))
    return [window.place(match, "ip") for match in plain if _is_somebodys(match.group())]


def _v6(window: Window) -> list[tuple[int, int, str]]:
    """With a digit, and of three groups at least or a prefix in use: `Face::Add`, `a::b` and `c::1` are names in programs."""
    matches = (match for match in V6.finditer(window.text) if match.start() <= window.head < match.end())
    likely = (match for match in matches if re.search(rb"[0-9]", match.group()))
    return [
        window.place(match, "ip")
        for match in likely
        if (len(re.findall(rb"\w+", match.group())) >= 3 or USED.match(match.group())) and _is_somebodys(match.group())
    ]


def _is_somebodys(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
