"""What serves of a model, and what served when, as JSON and in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.when import shown, stamp
from storage.aliases import BESIDE, CANARY, CHAMPION, SHADOW
from storage.entries import Entry
from storage.history import Tenure, held_at
from storage.registry import Registry
from tasks.scoring.policy import Policy

BEGAN = {"promote": "promoted", "rollback": "back by a rollback", CANARY: "begun", SHADOW: "begun"}
ENDED = {"rollback": "rolled back", "withdraw": "withdrawn"}  # other ends are seen in what began instead
ORDER = (CHAMPION, *BESIDE)


def status_of(registry: Registry, name: str) -> dict[str, Any]:
    """What serves now, and what was rolled back, as plain JSON values."""
    tenures = registry.history(name)
    marked = registry.rolled_back(name)
    traffic = registry.traffic(name)
    held = {tenure.alias: tenure_json(tenure) for tenure in tenures if tenure.end is None}
    return {
        "model": name,
        CHAMPION: held.pop(CHAMPION, None),
        CANARY: held.pop(CANARY, None) if traffic.canary else None,  # in old logs an alias like any other
        SHADOW: held.pop(SHADOW, None) if traffic.shadow else None,
        "policy": dict(traffic.canary.policy) if traffic.canary else None,
        "aliases": held,
        "rolled_back": [version.number for version in registry.versions(name) if version.artifact in marked],
    }


def tenure_json(tenure: Tenure) -> dict[str, Any]:
    """That an alias pointed at a version, as plain JSON values."""
    return {
        "alias": tenure.alias,
        "version": tenure.version.number,
        "artifact": tenure.version.artifact,
        "share": tenure.share,
        "from": stamp(tenure.start),
        "to": stamp(tenure.end) if tenure.end is not None else None,
        "began": _entry_json(tenure.began),
        "ended": _entry_json(tenure.ended) if tenure.ended else None,
    }


def serving_at(tenures: Iterable[Tenure], moment: float) -> list[Tenure]:
    """What each alias pointed at then, the champion first."""
    return sorted(held_at(tenures, moment).values(), key=lambda tenure: _place(tenure.alias))


def status_text(status: Mapping[str, Any]) -> str:
    """What serves now, for people."""
    lines = [status["model"]]
    canary = status[CANARY]
    if status[CHAMPION]:
        rest = f"{100 * (1 - canary['share']):g} % of the requests" if canary else "all requests"
        lines.append(_held(status[CHAMPION], f": answers {rest}"))
    else:
        lines.append("  nothing serves yet: no version is the champion")
    if canary:
        lines.append(_held(canary, f": answers {100 * canary['share']:g} % of the requests"))
        lines += [f"{'':12}{line}" for line in _rules(status["policy"])]
    if status[SHADOW]:
        share = status[SHADOW]["share"]
        lines.append(_held(status[SHADOW], f": is shown {100 * share:g} % of the requests, answers nobody"))
    lines += [_held(tenure, "") for tenure in status["aliases"].values()]
    if status["rolled_back"]:
        numbers = ", ".join(str(number) for number in status["rolled_back"])
        lines.append(f"  rolled back, not to come back by itself: version {numbers}")
    return "\n".join(lines) + "\n"


def history_text(name: str, tenures: Sequence[Tenure]) -> str:
    """What served when, the latest first, for people."""
    lines = [name]
    for tenure in reversed(tenures):
        until = shown(tenure.end) if tenure.end is not None else "now"
        lines.append(
            f"  {shown(tenure.start)} – {until:<23}  {tenure.alias:<9} version {tenure.version.number}{_part(tenure)}: {_began(tenure)}"
        )
        if tenure.ended and tenure.ended.action in ENDED:
            lines.append(f"{'':53}{_words(ENDED, _entry_json(tenure.ended))}")
    return "\n".join(lines if tenures else [f"{name}: no version has served yet"]) + "\n"


def then_text(name: str, moment: float, tenures: Sequence[Tenure]) -> str:
    """What served at a moment, for people."""
    if not tenures:
        return f"{name} at {shown(moment)}: nothing served\n"
    lines = [f"{name} at {shown(moment)}"]
    for tenure in tenures:
        until = f"until {shown(tenure.end)}" if tenure.end is not None else "until now"
        lines.append(
            f"  {tenure.alias:<9} version {tenure.version.number}{_part(tenure)}, since {shown(tenure.start)}, {until}: {_began(tenure)}"
        )
    return "\n".join(lines) + "\n"


def _held(tenure: Mapping[str, Any], does: str) -> str:
    since = tenure["from"][:19].replace("T", " ")
    head = f"  {tenure['alias']:<9} version {tenure['version']}"
    return f"{head}{does}, since {since} UTC, {_words(BEGAN, tenure['began'])}"


def _rules(policy: Mapping[str, Any]) -> list[str]:
    rules = Policy.from_json(policy)
    by_whom = "by the service" if rules.automatic else "by a person; the service only tells"
    margins = f"failures +{100 * rules.error_margin:g}, slow (over {rules.slower:g} times) +{100 * rules.slow_margin:g}"
    wrong = "" if rules.feedback == "ignored" else f", wrong (feedback {rules.feedback}) +{100 * rules.wrong_margin:g}"
    end = f"; withdrawn when undecided after {rules.maximum_hours:g} hours" if rules.maximum_hours else ""
    return [
        f"decided {by_whom}, surely at {100 * (1 - rules.alpha):g} %, promoted after {rules.minimum_requests:,} requests at least{end}",
        f"margins in points: {margins}{wrong}",
    ]


def _part(tenure: Tenure) -> str:
    return f" ({100 * tenure.share:g} %)" if tenure.alias in BESIDE else ""


def _began(tenure: Tenure) -> str:
    return _words(BEGAN, _entry_json(tenure.began))


def _words(done: Mapping[str, str], entry: Mapping[str, Any]) -> str:
    by_itself = " automatically" if entry["automatic"] else ""
    reason = f": {entry['reason']}" if entry["reason"] else ""
    return f"{done[entry['action']]}{by_itself}{reason} [entry {entry['index']}, key {entry['key_id']}]"


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "index": entry.index,
        "action": entry.action,
        "reason": entry.fields.get("reason", ""),  # which a rollback once did not have
        "automatic": entry.fields.get("automatic", False),
        "key_id": entry.key_id,
    }


def _place(alias: str) -> tuple[int, str]:
    return ORDER.index(alias) if alias in ORDER else len(ORDER), alias
