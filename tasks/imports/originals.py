"""The model as it came, opened, and what it answers to the sample's rows by itself. N rows, K outputs.

An ONNX graph is run as it is by ONNX Runtime; what needs torch or scikit-learn answers in a process of its own, which makes the graph, too.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
from onnx import ModelProto

from infra.launcher import launch
from storage.errors import ConfigError, CorruptArtifact, ProcessFailed
from storage.root import scratch_folder
from tasks.graphs.foreign import End, class_labels, ends, facts, known_texts, open_foreign, zip_map
from tasks.imports.inputs import Asked, Taken, as_served, image_of, table_of
from tasks.imports.kinds import DESCRIPTION, ONNX, SAFETENSORS, SKOPS, WEIGHTS
from tasks.imports.tables import Rows
from tasks.inference.graphs import CHUNK_ROWS, DEPENDS_ON_BATCH

FITTED = ("transforms.json", "transforms/transforms.json")  # what training scaled by
TASKS = ("classification", "regression")
PROGRAMS = {SAFETENSORS: "tasks.nn.importer", SKOPS: "tasks.estimators.importer"}


@dataclass(frozen=True)
class Original:
    """`outputs`: (N, K) float64, as the model gives them at `output`; `labels`: the classes that it names itself, row by row.

    `classes`: lists of what may be the classes' names in its order; `task`, `meaning`: what it says of itself; empty where it does not.
    """

    graph: ModelProto
    taken: Taken
    columns: Mapping[str, Any]
    output: str
    outputs: np.ndarray
    facts: dict[str, Any]
    labels: tuple[str, ...] = ()
    classes: list[tuple[str, ...]] = field(default_factory=list)
    task: str = ""
    meaning: str = ""


def open_original(kind: str, path: Path, rows: Rows, asked: Asked) -> Original:
    """The model in the file `path`, with its answers to `rows`. Untrusted, CorruptArtifact, ConfigError or SchemaError where it will not do."""
    if kind == ONNX:
        return _graph(path.read_bytes(), path.name, rows, asked)
    with scratch_folder("import") as folder:
        return (_network if kind == SAFETENSORS else _estimator)(path, rows, asked, folder)


def _graph(data: bytes, name: str, rows: Rows, asked: Asked) -> Original:
    model = open_foreign(data, name)
    session = open_session(data, name)
    taken = _taken(model, rows, asked)
    columns = taken.columns(rows)
    arrays = taken.arrays(columns)
    batches = {end.shape[0]: end for end in ends(model.graph.input)}
    if fixed := next((end for size, end in batches.items() if size not in (None, 1)), None):
        raise ConfigError(
            f"input {fixed}: takes batches of {fixed.shape[0]} only; export it with a free batch (dynamic_shapes)"
        )
    single = 1 in batches or DEPENDS_ON_BATCH in data
    answers = _run(session, arrays, 1 if single else CHUNK_ROWS, name)
    return _chosen(model, taken, columns, answers, {**facts(model, len(data)), "format": ONNX})


def open_session(data: bytes, name: str) -> onnxruntime.InferenceSession:
    """The graph as it came, on one CPU thread; CorruptArtifact with ONNX Runtime's own reason where it cannot be loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:
        raise CorruptArtifact(
            f"{name}: ONNX Runtime cannot load it: {str(error)[:300]}; export it for an opset that it has"
        ) from error


def _taken(model: ModelProto, rows: Rows, asked: Asked) -> Taken:
    inputs = ends(model.graph.input)
    numeric = all(end.dtype == "string" or end.dtype.startswith(("float", "int", "uint", "bool")) for end in inputs)
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and numeric:
        return image_of(inputs[0], rows, asked)
    if numeric and inputs and all(end.shape for end in inputs) and (len(inputs) > 1 or len(inputs[0].shape) < 3):
        texts = known_texts(model) if any(end.dtype == "string" for end in inputs) else ()
        return table_of(inputs, rows, asked, texts)
    raise ConfigError(
        f"the model takes {'; '.join(map(str, inputs)) or 'nothing'}; wanted a table (rows, numbers), one input a column, or images "
        "(rows, channels, height, width): export it with such an input"
    )


def _run(session: Any, arrays: Mapping[str, np.ndarray], chunk: int, name: str) -> dict[str, Any]:
    """All rows' answers by output: arrays, or lists of maps."""
    rows, parts = len(next(iter(arrays.values()))), list[list[Any]]()
    try:
        for at in range(0, rows, chunk):
            parts.append(session.run(None, {key: array[at : at + chunk] for key, array in arrays.items()}))
    except Exception as error:
        raise CorruptArtifact(
            f"{name}: cannot answer the sample's rows: {str(error)[:300]}; check that the sample's columns are the model's"
        ) from error
    names = [output.name for output in session.get_outputs()]
    return {key: _joined([part[i] for part in parts], rows) for i, key in enumerate(names)}


def _joined(parts: Sequence[Any], rows: int) -> Any:
    if isinstance(parts[0], list):
        return [entry for part in parts for entry in part]
    return np.concatenate([np.reshape(part, (1,)) if np.ndim(part) == 0 else part for part in parts])


def _chosen(
    model: ModelProto, taken: Taken, columns: Mapping[str, Any], answers: Mapping[str, Any], told: dict[str, Any]
) -> Original:
    """The output that is the answer: the one of real numbers; beside it there may be one of labels."""
    rows = len(next(iter(columns.values())))
    lists = {name: zip_map(model, name) for name, value in answers.items() if isinstance(value, list)}
    maps = {name: found for name, found in lists.items() if found[0]}
    numbers = {
        name: value for name, value in answers.items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    others = [name for name in answers if name not in maps and name not in numbers]
    labelled = [np.size(answers[name]) for name in others if name not in lists]
    if len(maps) + len(numbers) != 1 or labelled not in ([], [rows]) or len(labelled) < len(others):
        found = "; ".join(map(str, ends(model.graph.output)))
        raise ConfigError(
            f"the model gives {found}; wanted one output of real numbers (probabilities, logits or values), and beside it labels at most: "
            "export it with that output alone"
        )
    labels = tuple(str(value) for value in np.ravel(answers[others[0]])) if others else ()
    if maps:
        output, names = next(iter(maps.values()))
        listed = next(value for value in answers.values() if isinstance(value, list))
        by_name = [{str(key): share for key, share in row.items()} for row in listed]
        outputs, classes = np.array([[row[name] for name in names] for row in by_name], np.float64), [names]
    else:
        output, value = next(iter(numbers.items()))
        outputs = np.asarray(value, np.float64).reshape(len(value), -1)
        classes = class_labels(model, outputs.shape[1]) if labels else []
    if len(outputs) != rows:
        raise ConfigError(
            f"output {output!r}: found {len(outputs)} answers to {rows} rows, wanted one a row; export it with a free batch"
        )
    if not outputs.size:
        raise ConfigError(
            f"output {output!r}: found no numbers in a row's answer, wanted at least one; export another output"
        )
    return Original(model, taken, columns, output, outputs, told, labels, classes)


def _network(path: Path, rows: Rows, asked: Asked, folder: Path) -> Original:
    """Weights of one of our families: torch rebuilds it from model.json beside them, exports it and answers."""
    description = _description(path.with_name(DESCRIPTION))
    shape = tuple(description["input"]["shape"])
    given = End("x", description["input"]["dtype"], (None, *shape))
    taken = image_of(given, rows, asked) if len(shape) == 3 else table_of([given], rows, asked, ())
    columns = taken.columns(rows)
    np.save(folder / "features.npy", taken.input.features(columns))
    _answered_elsewhere(
        SAFETENSORS, folder, weights=str(path), description=description, features=str(folder / "features.npy")
    )
    model, told = _made(folder, path, SAFETENSORS)
    classes = [tuple(map(str, description["classes"]))] if description["classes"] else []
    meaning = "value" if description["task"] == "regression" else "logits"
    outputs = np.load(folder / "made" / "outputs.npy")
    return Original(model, taken, columns, "y", outputs, told, (), classes, description["task"], meaning)


def _estimator(path: Path, rows: Rows, asked: Asked, folder: Path) -> Original:
    """A scikit-learn model from skops, which answers in its own process and is converted there by skl2onnx."""
    chosen = rows.table.select(list(asked.columns) or [name for name in rows.names if name != asked.target])
    numeric = {name: rows.is_numeric(name) for name in chosen.column_names}
    for place, name in enumerate(chosen.column_names):
        cells = as_served(rows.numbers(name)) if numeric[name] else rows.texts(name)
        chosen = chosen.set_column(place, name, [cells])
    pq.write_table(chosen, folder / "rows.parquet")
    _answered_elsewhere(SKOPS, folder, model=str(path), rows=str(folder / "rows.parquet"))
    model, told = _made(folder, path, SKOPS)
    inputs = ends(model.graph.input)
    taken = table_of(inputs, rows, Asked(asked.target, tuple(told.pop("columns"))), known_texts(model))
    classes, task = told.pop("classes"), told.pop("task")
    outputs = np.load(folder / "made" / "outputs.npy")
    meaning = "value" if task == "regression" else "probabilities"
    return Original(
        model,
        taken,
        taken.columns(rows),
        told.pop("output"),
        outputs,
        told,
        (),
        [tuple(classes)] if classes else [],
        task,
        meaning,
    )


def _answered_elsewhere(kind: str, folder: Path, **job: Any) -> None:
    (folder / "job.json").write_text(json.dumps({**job, "output": str(folder / "made")}))
    argv = [sys.executable, "-m", PROGRAMS[kind], str(folder / "job.json")]
    try:
        launch(argv, on_line=lambda line: None, log=folder / "import.log")
    except ProcessFailed as error:
        raise CorruptArtifact(str(error).partition(": ")[2].rpartition(". Log: ")[0] or str(error)) from None


def _made(folder: Path, path: Path, kind: str) -> tuple[ModelProto, dict[str, Any]]:
    data = (folder / "made" / "model.onnx").read_bytes()
    model = open_foreign(data, path.name)
    return model, {
        **facts(model, path.stat().st_size),
        "format": kind,
        **json.loads((folder / "made" / "facts.json").read_bytes()),
    }


def _description(path: Path) -> dict[str, Any]:
    """model.json beside the weights; ConfigError where it is missing or says too little, or where fitted transforms lie there, too."""
    if fitted := next((path.parent / name for name in FITTED if (path.parent / name).exists()), None):
        raise ConfigError(
            f"{fitted}: lies beside the weights, but an imported network takes numbers as they come, so it would be given unscaled ones; import "
            f"model.onnx with the scaling in it, or give rows that are scaled, and {WEIGHTS} and {DESCRIPTION} in a folder of their own"
        )
    try:
        found = json.loads(path.read_bytes())
        complete = {"family", "options", "task", "classes", "input", "outputs"} <= found.keys()
        shape, dtype = found["input"]["shape"], found["input"]["dtype"]
        complete = complete and all(type(size) is int and size > 0 for size in shape) and len(shape) in (1, 3)
        complete = complete and found["task"] in TASKS and isinstance(found["classes"], list)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: is missing: weights alone do not say what network they are of; put the {DESCRIPTION} of its training beside them"
        ) from None
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: no valid {DESCRIPTION}: {type(error).__name__}: {error}") from None
    if not complete or found["family"] == "sklearn" or dtype != "float32":
        raise ConfigError(
            f"{path}: found {sorted(found)} of family {found.get('family')!r}; wanted family, options, task, classes, input and outputs of a "
            "network that takes numbers (F) or images (C, H, W) and gives classes or a value (mlp, cnn, resnet)"
        )
    return found
