"""What the contract came to over the whole data set: limits of single rules, expected shares, and what is only told."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storage.errors import SchemaError
from storage.shards import ShardResult
from tasks.frames.seen import MOST_CATEGORIES, Seen
from tasks.sections import DataSection, ShareRule


def judged(
    section: DataSection, shards: Sequence[ShardResult], seen: Mapping[str, Seen], rows_in: int
) -> list[dict[str, Any]]:
    """What was found: `rule`, `action`, `count` and an `example`, or of an expected share what it is. SchemaError where a limit is passed."""
    counts: dict[str, Counter[str]] = {}
    told: dict[str, str] = {}
    for shard in shards:
        for label, by_action in shard.facts["contract"].items():
            counts.setdefault(label, Counter()).update(by_action)
        told = {**shard.facts["told"], **told}
    for label, most in _limits(section):
        broken = counts.get(label, Counter()).total()
        if broken > most * rows_in:
            example = next((said for name, said in told.items() if name.startswith(f"{label}: ")), "")
            raise SchemaError(
                f"data.contract: {label}: {broken} of {rows_in} rows break it ({broken / rows_in:.1%}), wanted at most {most:.1%} "
                f"(its max_share){example and ', e.g. '}{example}; correct the data, or the rule"
            )
    found = [
        {"rule": label, "action": action, "count": counts[label][action], "example": told.get(f"{label}: {action}", "")}
        for label in sorted(counts)
        for action in sorted(counts[label])
    ]
    return found + [one for rule in section.contract.shares for one in _of_share(rule, seen)]


def _limits(section: DataSection) -> Iterator[tuple[str, float]]:
    """Rules by label with the share of rows that may break them, where there is a limit."""
    for column, rule in section.rules.items():
        for name, handling in rule.handling.items():
            yield f"{column}: {name}", handling.max_share
            if name == "missing":
                yield f"{column}: missing_target", handling.max_share
    yield from ((rule.name, rule.max_share) for rule in (*section.contract.rows, *section.contract.unique))


def _of_share(rule: ShareRule, seen: Mapping[str, Seen]) -> Iterator[dict[str, Any]]:
    """What there is to say of an expected share."""
    if rule.column not in seen or not seen[rule.column]["rows"]:
        return
    found = seen[rule.column]
    counted = found["missing"]
    if rule.value is not None:
        if found.get("counts", {}) is None:
            raise SchemaError(
                f"data.contract.shares: column {rule.column!r} has more than {MOST_CATEGORIES} different values, which are not counted"
            )
        counted = found.get("counts", {}).get(rule.value, 0)
    share = counted / found["rows"]
    if rule.minimum <= share <= rule.maximum:
        return
    what = "missing" if rule.value is None else repr(rule.value)
    said = f"column {rule.column!r}: {what} in {share:.1%} of the rows, wanted {rule.minimum:.1%} to {rule.maximum:.1%}"
    if rule.action == "fail":
        raise SchemaError(f"data.contract.shares: {said}; correct the data, or the rule")
    yield {"rule": f"{rule.column}: share", "action": "warn", "count": counted, "example": said}
