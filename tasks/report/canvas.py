"""Figures as inline SVG whose colours follow the page's theme.

matplotlib draws with sentinel colours, each of which becomes a CSS variable afterwards; so one drawing is right in light and dark.
Texts stay texts, in the page's font. Ids are made unique by the figure's name, and the same data give the same bytes.
"""

import html
import io
import os
import re
from typing import Any

from storage.root import work_folder

INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#040404"
ACCENT, SECOND, GOOD, WARN, BAD = "#050505", "#060606", "#070707", "#080808", "#090909"
VARIABLES = {
    INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper", ACCENT: "--accent",
    SECOND: "--second", GOOD: "--good", WARN: "--warn", BAD: "--bad",
}  # fmt: skip
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "millrace",
    "font.family": "DejaVu Sans",  # ships with matplotlib; the page's style sheet replaces it
    "font.size": 9,
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
}


def themed() -> Any:
    """A context in which figures are made: matplotlib with our settings, its caches kept in the data root."""
    os.environ.setdefault("MPLCONFIGDIR", str(work_folder("matplotlib")))
    import matplotlib

    return matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type]


def new_figure(width: float, height: float) -> Any:
    """A figure of so many inches, without pyplot and so without global state; call within `themed()`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Any, name: str, label: str) -> str:
    """`figure` as an `<svg>` element to be put into HTML. `name`: unique in the page; `label`: what it shows, for those who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"#0[1-9]0[1-9]0[1-9]\b", lambda found: f"var({VARIABLES[found.group()]})", drawn)
    drawn = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', drawn)
    drawn = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', drawn)
    drawn = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", drawn)
    viewbox = re.search(r'viewBox="[^"]+"', drawn)
    opening = f'<svg {viewbox.group() if viewbox else ""} role="img" aria-label="{html.escape(label)}">'
    return re.sub(r"<svg[^>]*>", lambda _: opening, drawn, count=1).strip()
