"""The figures of the page, one function each; each gives an inline SVG. Widths in inches: one column is 4.6, on a phone 0.9 of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.canvas import ACCENT, INK, LINE, MUTED, PAPER, SECOND, new_figure, themed, to_svg
from tasks.report.formats import metric_name, metric_range, metric_value, ratio, size

COLUMN = 4.6
UNBOUNDED = ("log_loss", "rmse", "mae", "bits_per_byte", "perplexity", "word_perplexity")
MOST_CLASSES = 40  # of a confusion matrix that can still be read
MOST_NUMBERED = 14  # classes whose cells can hold a number


def loss_curve(history: Sequence[Mapping[str, Any]]) -> str:
    """Training and validation loss by epoch; the best validation epoch is marked."""
    epochs = [row["epoch"] for row in history]
    with themed():
        figure = new_figure(COLUMN, 2.9)
        axes = figure.add_subplot()
        for field, colour, name in (("train_loss", SECOND, "training"), ("validation_loss", ACCENT, "validation")):
            values = [float(row[field]) for row in history if row.get(field) is not None]
            if len(values) < len(epochs):
                continue
            marker = "o" if len(epochs) < 30 else ""
            axes.plot(epochs, values, color=colour, linewidth=1.8, marker=marker, markersize=3, label=name)
            if field == "validation_loss":
                _mark_least(axes, epochs, values)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper right", labelcolor=MUTED)
        return to_svg(figure, "loss", f"Loss by epoch, training and validation, over {len(epochs)} epochs")


def _mark_least(axes: Any, epochs: Sequence[int], values: Sequence[float]) -> None:
    least = min(values)
    place = (epochs[list(values).index(least)], least)
    axes.plot(*place, "o", color=ACCENT, markersize=8, markerfacecolor=PAPER, markeredgewidth=1.8)
    axes.annotate(f"{least:.3g}", place, (0, 9), textcoords="offset points", ha="center", color=INK)


def metric_intervals(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics between 0 and 1 as a dot with whiskers each, on one scale; empty if there are none."""
    shown = {name: entry for name, entry in metrics.items() if name not in UNBOUNDED}
    if not shown:
        return ""
    with themed():
        figure = new_figure(COLUMN, 0.75 + 0.36 * len(shown))
        axes = figure.add_subplot()
        for place, entry in enumerate(shown.values()):
            axes.plot(
                [entry["low"], entry["high"]], [place, place], color=ACCENT, linewidth=2.2, solid_capstyle="round"
            )
            axes.plot(
                [entry["low"], entry["high"]], [place, place], "|", color=ACCENT, markersize=7, markeredgewidth=1.6
            )
            axes.plot(
                entry["value"], place, "o", color=ACCENT, markersize=7.5, markeredgecolor=PAPER, markeredgewidth=1.4
            )
        low, high = min(entry["low"] for entry in shown.values()), max(entry["high"] for entry in shown.values())
        room = max(0.004, 0.08 * (high - low))
        axes.set_xlim(low - room, max(high + room, 1 + room / 2) if high > 0.98 else high + room)
        axes.set_yticks(range(len(shown)), [metric_name(name) for name in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        label = "; ".join(
            f"{metric_name(name)} {metric_value(name, entry['value'])} ({metric_range(name, entry)})"
            for name, entry in shown.items()
        )
        return to_svg(figure, "metrics", label)


def confusion_matrix(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """A heat map of the share of each actual class (row) that was predicted as each class; empty where there are too many classes."""
    many = len(classes)
    if many > MOST_CLASSES:
        return ""
    from matplotlib.patches import Rectangle

    with themed():
        figure = new_figure(COLUMN, 4.3 if many > 3 else 2.9)
        axes = figure.add_subplot()
        for row, counts in enumerate(matrix):
            total = max(1, sum(counts))
            for column, number in enumerate(counts):
                share = number / total
                colour = ACCENT if row == column else SECOND
                # an error is worth seeing even where it is rare
                shade = share if row == column or not number else 0.15 + 0.85 * share
                axes.add_patch(
                    Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, alpha=shade, linewidth=0)
                )
                if number and many <= MOST_NUMBERED:
                    ink = PAPER if shade > 0.55 else INK
                    axes.text(
                        column, row, f"{number:,}", ha="center", va="center", color=ink, fontsize=10 if many <= 4 else 8
                    )
        _class_axes(axes, classes)
        right = sum(matrix[index][index] for index in range(many))
        return to_svg(
            figure,
            "confusion",
            f"Confusion matrix of {many} classes: {right} of {sum(map(sum, matrix))} rows on the diagonal",
        )


def _class_axes(axes: Any, classes: Sequence[str]) -> None:
    many = len(classes)
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    turned = sum(map(len, names)) > 40
    fontsize = 9 if many <= 12 else 6
    axes.set_xticks(
        range(many), names, fontsize=fontsize, rotation=60 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_yticks(range(many), names, fontsize=fontsize)
    axes.set_xlim(-0.5, many - 0.5)
    axes.set_ylim(many - 0.5, -0.5)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def candidates_plot(candidates: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Quality (with its interval) over size; the area of a dot is its speed at batch 1; the chosen one stands out."""
    with themed():
        figure = new_figure(COLUMN, 3.5)
        axes = figure.add_subplot()
        _size_axis(axes, candidates)
        for item in candidates:
            colour = ACCENT if item.get("chosen") else MUTED
            error = [[max(0.0, item["value"] - item["low"])], [max(0.0, item["high"] - item["value"])]]
            axes.errorbar(item["bytes"], item["value"], yerr=error, color=colour, linewidth=1.3, capsize=3, zorder=2)
            speed = item.get("latency_ratio_b1") or 1.0
            axes.scatter(
                item["bytes"], item["value"], s=50 * min(max(speed, 0.4), 12), color=colour,
                edgecolor=PAPER, linewidth=1.4, alpha=0.95, zorder=4 if item.get("chosen") else 3,
            )  # fmt: skip
        _name_candidates(axes, candidates)
        axes.set_ylabel(metric_name(metric))
        axes.yaxis.set_major_formatter(lambda value, _: metric_value(metric, value))
        axes.yaxis.get_major_locator().set_params(nbins=5)
        label = "; ".join(
            f"{item['name']}: {size(item['bytes'])}, {metric_value(metric, item['value'])}, {ratio(item.get('latency_ratio_b1'))} as fast"
            for item in candidates
        )
        return to_svg(figure, "candidates", label)


def _name_candidates(axes: Any, candidates: Sequence[Mapping[str, Any]]) -> None:
    """Names above the upper whisker, or below the lower one where a neighbour in size has its name above."""
    below = False
    for item in sorted(candidates, key=lambda item: item["bytes"]):
        anchor = (item["bytes"], item["low"] if below else item["high"])
        weight = "bold" if item.get("chosen") else "normal"
        axes.annotate(
            item["name"], anchor, (0, -5 if below else 5), textcoords="offset points", ha="center", va="top" if below else "bottom",
            color=INK if item.get("chosen") else MUTED, fontweight=weight,
        )  # fmt: skip
        below = not below


def _size_axis(axes: Any, candidates: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    smallest, largest = (pick(item["bytes"] for item in candidates) for pick in (min, max))
    axes.set_xlim(smallest / 1.9, largest * 1.9)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: size(value).replace(".0 ", " "))
    axes.set_xlabel("size (logarithmic)")
    axes.margins(y=0.22)


def class_balance(counts: Mapping[str, float], unit: str) -> str:
    """Bars with the number of rows of each class, at most 20, the largest first where there are more."""
    ranked = list(counts.items())
    if len(ranked) > 20:
        ranked = sorted(ranked, key=lambda entry: -entry[1])[:20]
    with themed():
        figure = new_figure(COLUMN, 0.45 + 0.24 * len(ranked))
        axes = figure.add_subplot()
        places = range(len(ranked))
        axes.barh(places, [number for _, number in ranked], color=ACCENT, height=0.62)
        most = max(1.0, *(number for _, number in ranked)) if len(ranked) > 1 else max(1.0, ranked[0][1])
        for place, (_, number) in zip(places, ranked, strict=True):
            axes.text(number + 0.012 * most, place, f"{number:,.0f}", va="center", color=MUTED, fontsize=8)
        axes.set_yticks(places, [name if len(name) <= 22 else f"{name[:21]}…" for name, _ in ranked])
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.set_xlim(0, 1.12 * most)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.spines["left"].set_color(LINE)
        return to_svg(
            figure, "balance", f"{unit} by class: " + "; ".join(f"{name} {number:,.0f}" for name, number in ranked)
        )
