"""Which columns of a sample to learn from, and what for. Label folders and IDX files need no choice: they say it themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.errors import ConfigError, SchemaError
from tasks.frames.answers import Answers, check_classes, read_answers
from tasks.frames.heads import Sample
from tasks.frames.looking import Found
from tasks.frames.traits import Trait, describe, likeliest_target, reasons_against
from tasks.sections import Source
from tasks.transforms.items import did_you_mean

KINDS = {"text_folders": "text", "image_folders": "image", "audio_folders": "audio", "idx": "image"}
FILES = {"text": "texts", "image": "images", "audio": "recordings"}
FEW_COLUMNS = 3  # beside a text: the table is about the text
SENTENCE = 8  # words and marks of a text that is more than a name
TEXT_NAMES = ("text", "review", "comment", "sentence", "content", "body", "message", "tweet", "document", "question")
SHOWN = 12  # columns in a message


@dataclass(frozen=True)
class Chosen:
    """`types`: of the table's features. `left_out`: other columns, with the reason. `words`: found for `no value` among numbers.

    `lacking`: declared splits left out, as their files lack the target. `shares`: of the splits that are declared; `rows`: in all,
    exact or about.
    """

    kind: str
    reason: str
    answers: Answers
    rows: int
    exact: bool
    sources: tuple[Source, ...]
    features: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    tokens: int = 0
    lacking: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)


def choose_folders(found: Found, sample: Sample, data: Mapping[str, Any]) -> Chosen:
    """What is learned from label folders, or from IDX images: what lies in the files, and their labels."""
    kind, target = KINDS[found.format], str(data.get("target") or "label")
    if found.format == "idx":
        trait = describe("label", sample.table.column("label"))
        answers = read_answers(sample.table.column("label"), trait, "classification", sample.whole)
    else:
        answers = Answers(target, "classification", found.labels.total(), counts=dict(found.labels.most_common()))
        if found.all_seen:
            check_classes("the folders' names", found.labels)
    tokens = describe("text", sample.table.column("text")).tokens if kind == "text" else 0
    about = {"idx": "IDX files hold images"}.get(found.format, f"the files are {FILES[kind]} in label folders")
    shares = _shares(found, ())
    rows = _all_rows(sample, shares)
    return Chosen(kind, about, answers, rows, found.all_seen, found.sources, tokens=tokens, shares=shares)


def choose_columns(found: Found, sample: Sample, target: str, text: str, data: Mapping[str, Any]) -> Chosen:
    """What is learned from a table: `text` alone, or its columns. `data`: what the user has set of the data section.

    ConfigError for a target or text that is not there, with the columns that are; SchemaError where nothing is left to learn from.
    """
    table = sample.table
    traits = {name: describe(name, table.column(name)) for name in table.column_names}
    _check_named(traits, target, text, data.get("features", ()))
    answers = read_answers(table.column(target), traits[target], str(data.get("task", "")), sample.whole)
    against = reasons_against(table, traits, target, answers.task)
    others = {name: trait for name, trait in traits.items() if name != target}
    kind, reason, features = _kind(others, [name for name in others if name not in against], text, data)
    instead = f"{features[0]!r} alone is learned from" if kind == "text" else "as you said"
    words = _words([traits[name] for name in (*features, target)], answers)
    sources, lacking = _with_target(found, sample, target)
    shares = _shares(found, lacking)
    rows = _all_rows(sample, shares)
    return Chosen(
        kind,
        reason,
        answers,
        rows,
        sample.whole and rows == sample.rows,
        sources,
        features,
        {name: _declared(traits[name], sample.whole, words) for name in features} if kind == "table" else {},
        {name: against.get(name, instead) for name in others if name not in features},
        words,
        traits[features[0]].tokens if kind == "text" else 0,
        lacking,
        shares,
    )


def _shares(found: Found, lacking: Sequence[str]) -> dict[str, float]:
    """Of the declared splits that are kept; nothing where only one is left."""
    kept = {split: share for split, share in found.shares.items() if split not in lacking}
    return {split: share / sum(kept.values()) for split, share in kept.items()} if len(kept) > 1 else {}


def _all_rows(sample: Sample, shares: Mapping[str, float]) -> int:
    """The rows of all splits, by those that may be learned from."""
    return round(sample.rows / shares["train"]) if "train" in shares else sample.rows


def _check_named(traits: Mapping[str, Trait], target: str, text: str, features: Sequence[str]) -> None:
    """ConfigError unless there is a target, and every column that the user named."""
    if len(traits) == 1:
        raise ConfigError(
            f"found one column only, {next(iter(traits))!r}: nothing to predict from; "
            "where the file has more, say what separates them: --set data.csv.delimiter=' '"
        )
    if not target:
        raise ConfigError(_no_target(traits))
    for option, name in (("--target", target), ("--text", text), *(("data.features", name) for name in features)):
        if name and name not in traits:
            raise ConfigError(
                f"{option} {name}: no such column; found {_some(list(traits))}{did_you_mean(name, traits)}"
            )
        if name == target and option != "--target":
            raise ConfigError(f"{option} {name}: is the target too; wanted another column to learn from")


def _words(traits: Sequence[Trait], answers: Answers) -> tuple[str, ...]:
    """Words for `no value` among numbers, unless one is a class."""
    words = {word for trait in traits for word in trait.words}
    return () if words & set(answers.counts or ()) else tuple(sorted(words))


def _no_target(traits: Mapping[str, Trait]) -> str:
    likely = likeliest_target(list(traits.values()))
    listed = _some([f"{trait.name} ({trait.type})" for trait in traits.values()])
    return (
        f"found {len(traits)} columns: {listed}\n"
        f"say which one to predict; the likeliest: --target {likely.name} ({likely.distinct} different values)"
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _kind(
    others: Mapping[str, Trait], usable: Sequence[str], text: str, data: Mapping[str, Any]
) -> tuple[str, str, tuple[str, ...]]:
    """The kind, the reason for people, and the columns to learn from."""
    wanted, features = data.get("kind"), list[str](data.get("features", ()))
    if wanted not in (None, "table", "text"):
        raise ConfigError(f"data.kind {wanted}: found a table; wanted table or text, or files in label folders")
    if text:
        return "text", f"--text {text}", (text,)
    texts = sorted((t for t in others.values() if t.type == "text"), key=lambda t: (t.tokens, t.length), reverse=True)
    if features and (wanted or len(features) > 1 or others[features[0]].type != "text"):
        return str(wanted or "table"), "your own columns", tuple(features)
    text = features[0] if features else texts[0].name if texts else ""
    if text and wanted != "table" and (wanted == "text" or features or _is_about(others[text], len(usable))):
        return "text", f"{text!r} holds texts of up to {others[text].tokens} words and marks", (text,)
    if wanted == "text":
        raise ConfigError(f"data.kind text: found no column of texts among {_some(list(others))}; name it with --text")
    if not usable:
        raise SchemaError(
            f"no column is left to learn from, of {_some(list(others))}: they number the rows, never change, are dates, or repeat the "
            "target; name a text with --text, or columns with --set data.features=[…]"
        )
    return "table", f"{len(usable)} columns say something of the target", tuple(usable)


def _is_about(text: Trait, usable: int) -> bool:
    """Whether the table is about this text rather than about its other columns."""
    if text.name.lower() in TEXT_NAMES:
        return usable <= 2 * FEW_COLUMNS
    return usable == 0 or (usable <= FEW_COLUMNS and text.tokens >= SENTENCE)


def _declared(trait: Trait, whole: bool, words: Sequence[str]) -> str:
    """The type to declare: a whole number may still have a fraction in rows that were not seen."""
    if trait.type not in ("integer", "number") or (trait.words and not words):
        return "category"
    return trait.type if whole else "number"


def _with_target(found: Found, sample: Sample, target: str) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """The sources whose files have the target; a test file without it (as competitions give them) is none to be judged by."""
    lacking = tuple(split for split, names in sample.columns.items() if names and target not in names)
    sources = [source for source in found.sources if source.split not in lacking]
    if lacking and len({source.split for source in sources}) == 1:
        sources = [source.model_copy(update={"split": "any"}) for source in sources]
    return tuple(sources), lacking
