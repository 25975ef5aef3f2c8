"""The words for what was guessed from somebody's own data: comments in the YAML, and a few lines for people."""

from collections.abc import Iterator, Sequence

from flows import sizing
from flows.misfits import FAMILIES
from flows.settings import PipelineConfig
from tasks.frames.answers import RARE, Answers
from tasks.frames.choosing import Chosen
from tasks.frames.looking import Found
from tasks.sections import TrainSection

CALLED = {"sklearn": "boosted trees", "mlp": "a multilayer perceptron", "textcnn": "a convolutional network over words",
          "cnn": "a convolutional network"}  # fmt: skip
SHOWN = 6
WIDEST = 100


def reasons(found: Found, chosen: Chosen, family: str, rows: float, has_splits: bool) -> dict[str, str]:
    """Why the values of name, data, transforms and train are as they are, by dotted name."""
    answers = chosen.answers
    why = {
        "name": "From the file's name. The model's name in the registry.",
        "data.root": "Where the data lie; elsewhere: --set data.root=FOLDER",
        "data.sources": "Splits are those of the files' and folders' names." if has_splits else "",
        "data.encoding": "The first lines are no UTF-8; this fits them.",
        "data.kind": f"{chosen.reason[:1].upper()}{chosen.reason[1:]}.",
        "data.task": f"The target has {answered(answers)}.",
        "data.csv": "From the file's first lines."
        + (f" Among numbers, {_some(chosen.words)} means: no value." if chosen.words else ""),
        "data.label_pattern": "All files lie in one folder, and their names begin with the label.",
        "data.features": "Left out: " + "; ".join(f"{name} ({why})" for name, why in chosen.left_out.items())
        if chosen.left_out
        else "",
        "data.columns": _columns_reason(chosen),
        "data.max_quarantined_share": f"{answers.unanswered + answers.rare_share:.1%} of the rows have no target, or one of a rare class.",
        "data.validation_share": f"{_about(chosen)}{chosen.rows:,} rows: the fewer, the more of them for the test.",
        "transforms.vocabulary_size": f"Words worth knowing, of about {rows:,.0f} texts to learn from.",
        "transforms.max_tokens": f"Nine texts in ten have at most {chosen.tokens} words and marks.",
        "train.family": f"{CALLED.get(family, family).capitalize()}: what does well on most data of kind {chosen.kind}.",
        "train.sklearn" if family == "sklearn" else "train.epochs": f"For about {rows:,.0f} rows to learn from.",
    }
    return {dotted: reason for dotted, reason in why.items() if reason}


def _columns_reason(chosen: Chosen) -> str:
    rare = chosen.answers.rare
    left = f" Classes of fewer than {RARE} rows go to quarantine: {_some(rare)}." if rare and chosen.exact else ""
    return f"As {'all' if chosen.exact else 'the sampled'} rows have them.{left}"


def regression(answers: Answers, test_rows: float) -> dict[str, str]:
    """Why rmse, its margin and its minimum."""
    return {
        "evaluate.metric": "The usual one for numbers; in the target's unit.",
        "evaluate.margin": f"Relative: 2 % and the doubt that about {test_rows:,.0f} test rows leave.",
        "evaluate.minimum": f"The most allowed: always answering the mean, {_number(answers.mean)}, is wrong by {_number(answers.deviation)}.",
    }


def classification(answers: Answers, metric: str, constant: float | None, test_rows: float) -> dict[str, str]:
    """Why this metric, its margin and its minimum."""
    name, share = answers.most_frequent
    why = {
        "evaluate.metric": f"{name!r} has {share:.0%} of the rows: "
        + ("accuracy would hardly see the others." if share > sizing.IMBALANCED else "no class drowns the others."),
        "evaluate.margin": f"Half a point, and the doubt that about {test_rows:,.0f} test rows leave of two models that differ on one in eleven.",
    }
    if constant is not None:
        why["evaluate.minimum"] = f"Better than always answering {name!r}, which gets {constant:.3f} on the sample."
    return why


def told(url: str, config: PipelineConfig, chosen: Chosen) -> str:
    """What was guessed and chosen, each with the way to say otherwise. The values are the configuration's, the user's own included."""
    lines = [f"{url}: {_about(chosen)}{chosen.rows:,} rows, {_format(config)}"]
    for what, choice, otherwise in _lines(config, chosen):
        lines.append(f"  {what:<9} {choice}" + (f"  [{otherwise}]" if otherwise else ""))
    return "\n".join(lines)


def _lines(config: PipelineConfig, chosen: Chosen) -> Iterator[tuple[str, str, str]]:
    data, evaluate, family = config.data, config.evaluate, config.train.family
    tabular = data.format in ("csv", "tsv", "jsonl", "parquet")
    other = "classification" if data.task == "regression" else "regression"
    yield (
        "target",
        f"{data.target}: {answered(chosen.answers)} → {data.task}",
        f"--set data.task={other}" if data.kind == "table" and chosen.answers.either else "",
    )
    for line in _refused(chosen):
        yield "", line, ""
    yield "input", _input(config, chosen), "--text COLUMN or --set 'data.features=[…]'" if tabular else ""
    for reason, names in _grouped(chosen).items():
        yield "left out", f"{_some(names)}: {reason}", ""
    families = [name for name in FAMILIES[data.kind] if name != family]
    yield (
        "model",
        f"{CALLED.get(family, family)}, {_size(config.train)} → {config.name}",
        " or ".join(["--name NAME", *(f"--set train.family={n}" for n in families[:1])]),
    )
    least = (
        ""
        if evaluate.minimum is None
        else f", {'at most' if evaluate.metric in ('rmse', 'log_loss') else 'at least'} {evaluate.minimum:g}"
    )
    yield (
        "decides",
        f"{evaluate.metric}{least} ({_constant(chosen.answers)}); {_may(evaluate.metric, evaluate.margin)}",
        "--set evaluate.margin=0.02",
    )
    splits = sorted({source.split for source in data.sources} - {"any"}, reverse=True)
    own = (
        f"as the files' names say ({', '.join(splits)})"
        if splits
        else f"{data.test_share:.0%} for the test, {data.validation_share:.0%} to validate"
    )
    yield "split", own, "" if splits else "--set data.test_share=0.3"


def _refused(chosen: Chosen) -> Iterator[str]:
    answers = chosen.answers
    if answers.unanswered:
        yield f"{answers.unanswered:.1%} of the rows have no target: they go to quarantine"
    if answers.rare and chosen.exact:
        yield f"classes of fewer than {RARE} rows go to quarantine: {_some(answers.rare)}"
    for split in chosen.lacking:
        yield f"the {split} files do not have it: they are left out"


def _format(config: PipelineConfig) -> str:
    csv, format = config.data.csv, config.data.format
    if format != "csv":
        return format
    return f"csv cut at {csv.delimiter!r}, {'with' if csv.header else 'without'} a header"


def _input(config: PipelineConfig, chosen: Chosen) -> str:
    if config.data.kind != "table":
        return f"{chosen.reason} → {config.data.kind}"
    kinds = list(chosen.types.values())
    numbers = sum(kind in ("integer", "number") for kind in kinds)
    return f"{len(kinds)} column{'s' * (len(kinds) > 1)}: {numbers} of numbers, {len(kinds) - numbers} of categories → table"


def _may(metric: str, margin: float) -> str:
    if metric == "rmse":
        return f"may grow by {margin:.1%}"
    return f"may {'grow' if metric == 'log_loss' else 'fall'} by {margin:g}"


def _size(train: TrainSection) -> str:
    return f"{train.sklearn.iterations} iterations" if train.family == "sklearn" else f"{train.epochs} epochs"


def _grouped(chosen: Chosen) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, reason in chosen.left_out.items():
        groups.setdefault(reason, []).append(name)
    return groups


def _constant(answers: Answers) -> str:
    if answers.task == "regression":
        return f"always the mean: {_number(answers.deviation)}"
    name, share = answers.most_frequent
    return f"always {name!r}: accuracy {share:.3f}"


def answered(answers: Answers) -> str:
    """The target's values in a few words."""
    if answers.task == "regression":
        return f"many different numbers, {_number(answers.mean)} ± {_number(answers.deviation)}"
    total = sum(answers.classes.values())
    return f"{len(answers.classes)} classes, " + _some(
        [f"{name} {rows / total:.0%}" for name, rows in answers.classes.items()]
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _about(chosen: Chosen) -> str:
    return "" if chosen.exact else "about "
