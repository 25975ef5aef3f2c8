"""The end of an import on one screen: what the model is, what it answers, whether it is the same, what was decided, and how to call it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report.formats import DECISIONS, count, size
from tasks.report.terminal import calling, line, quality, wrapped

SHOWN = 6


def imported_text(summary: Mapping[str, Any], serve: Mapping[str, Any] | None) -> str:
    """The summary that `import --json` prints, as lines. `serve`: of what serves by the alias now, for the request."""
    lines = [f"{summary['model']}, imported from {summary['file']}", ""]
    for build in (_model, _meaning, _parity, quality):
        lines += build(summary)
    lines += ["", *_outcome(summary), ""]
    if summary["release"]["alias"]:
        lines += calling(summary, serve)
    elif summary["release"]["version"]:
        promote = f"millrace promote {summary['model']} {summary['release']['version']}"
        lines.append(line("Promote", f"{promote}  then: millrace serve {summary['model']}"))
    return "\n".join(lines).rstrip()


def _model(summary: Mapping[str, Any]) -> Iterator[str]:
    found = summary["inspected"]
    about = [summary["format"], found.get("family", ""), found["producer"]]
    yield from wrapped("Model", ", ".join(part for part in about if part))
    yield line(
        "",
        f"{count(found['parameters'])} parameters, {size(found['bytes'])} → {size(summary['artifact_bytes'])} as ONNX, opset {found['opset']}",
    )
    operators = [f"{name} ×{times}" if times > 1 else name for name, times in found["operators"].items()]
    yield from wrapped("", f"operators: {_some(operators)}")
    yield from wrapped("", f"takes {_some(found['inputs'], '; ')}; gives {'; '.join(found['outputs'])}")


def _meaning(summary: Mapping[str, Any]) -> Iterator[str]:
    why = summary["why"]
    yield from wrapped(
        "Input", f"{len(summary['columns'])} column{'s' * (len(summary['columns']) > 1)}: {_some(summary['columns'])}"
    )
    yield from wrapped("Task", f"{summary['task']} ({why['task']})")
    if summary["classes"]:
        yield from wrapped("Answers", f"{summary['outputs']} ({why['outputs']})")
        yield from wrapped("", f"{len(summary['classes'])} classes: {_some(summary['classes'])} ({why['classes']})")


def _parity(summary: Mapping[str, Any]) -> Iterator[str]:
    found = summary["parity"]
    batches = ", ".join(str(size) for size in sorted(found["batches"]))
    yield line(
        "Parity",
        f"at most {found['max_difference']:.2g} from the original, {count(found['rows'])} rows in batches of {batches}",
    )


def _outcome(summary: Mapping[str, Any]) -> Iterator[str]:
    release, verdict = summary["release"], summary["verdict"]
    made = f"{release['model']} version {release['version']}" if release["version"] else "no version was made"
    after = (
        f"serves as {release['alias']}" if release["alias"] else "no alias points at it; what served before still does"
    )
    if verdict is None:
        yield from wrapped("NOT JUDGED", f"{made}, {after}")
        way = "" if release["alias"] else "; give some with --data FILE --target COLUMN, or promote it by hand"
        yield from wrapped("", f"- there were no labelled rows{way}", hanging=2)
        return
    yield from wrapped(
        DECISIONS[verdict["decision"]].upper(),
        f"{made}, {after}" if release["version"] else f"{made}; what served before still does",
    )
    for reason in verdict["reasons"]:
        yield from wrapped("", f"- {reason}", hanging=2)


def _some(names: Any, between: str = ", ") -> str:
    names = list(names)
    return between.join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
