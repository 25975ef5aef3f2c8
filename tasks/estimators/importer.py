"""Convert a fitted scikit-learn model that somebody saved with skops: `python -m tasks.estimators.importer JOB.json`.

The job names the file, the rows to answer (Parquet), and the output folder. Only the types below are ever made.
"""

import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
import sklearn
from sklearn.base import is_classifier, is_regressor

from storage.errors import ConfigError, Untrusted
from tasks.estimators.conversion import convert
from tasks.jobs import run, to_json, write_folder

# Inner parts of scikit-learn's models that skops asks about; its estimators, and numpy's arrays and numbers, skops trusts by itself.
ALLOWED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
INSTALL = "skops is not installed; pip install skops"


def import_estimator(job: Mapping[str, Any]) -> None:
    """Write model.onnx, outputs.npy (N, K) of the model's own predict_proba or predict, and facts.json.

    Untrusted names the types that are not scikit-learn's own; ConfigError says what cannot be served.
    """
    model = load_trusted(Path(job["model"]))
    frame = _frame(model, pd.read_parquet(job["rows"]))
    task = _task(model)
    outputs = _answers(model, task, frame)
    graph = convert(
        model,
        list(frame.columns),
        [not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes],
        hasattr(model, "feature_names_in_"),
        task,
    )
    told = {
        "columns": list(frame.columns),
        "task": task,
        "classes": [str(name) for name in model.classes_] if task == "classification" else [],
        "output": graph.graph.output[-1].name,
        "family": " → ".join(type(step).__name__ for step in _steps(model)),
        "producer": f"scikit-learn {_version(Path(job['model']))}".strip(),
        "tools": {"scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__, "skops": _skops().__version__},
    }
    array = io.BytesIO()
    np.save(array, outputs)
    files = {
        "model.onnx": graph.SerializeToString(deterministic=True),
        "outputs.npy": array.getvalue(),
        "facts.json": to_json(told),
    }
    write_folder(Path(job["output"]), files)


def load_trusted(path: Path) -> Any:
    """The object in a skops file, if it is made of trusted types alone; Untrusted names the others, and none of them is made."""
    io_ = _skops().io
    try:
        strange = sorted({str(name) for name in io_.get_untrusted_types(file=path)} - set(ALLOWED))
        if strange:
            raise Untrusted(
                f"{path.name}: found the types {', '.join(strange[:5])}, wanted scikit-learn's and numpy's own alone: others' code is not run "
                "here. Leave them out, or convert the model where it was made: skl2onnx.to_onnx(model, X[:1].astype('float32'))"
            )
        return io_.load(path, trusted=list(ALLOWED))
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ImportError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise ConfigError(
            f"{path.name}: cannot be loaded ({type(error).__name__}: {str(error)[:200]}); made by another scikit-learn? Here is {sklearn.__version__}"
        ) from None


def _skops() -> Any:
    try:
        import skops
        import skops.io
    except ImportError:
        raise ConfigError(INSTALL) from None
    return skops


def _version(path: Path) -> str:
    """The scikit-learn that wrote the file, as far as it says."""
    with zipfile.ZipFile(path) as archive:
        return str(json.loads(archive.read("schema.json")).get("_sklearn_version", ""))


def _frame(model: Any, frame: pd.DataFrame) -> Any:
    """The columns that it was fitted on, in its order; of one fitted without names, all."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        wanted = getattr(model, "n_features_in_", len(frame.columns))
        if wanted != len(frame.columns):
            raise ConfigError(
                f"the sample: found {len(frame.columns)} columns, the model takes {wanted}; say which is the answer with --target COLUMN, or which "
                "go in, in the model's order, with --columns A,B,…"
            )
        return frame
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ConfigError(
            f"the sample: has no column {missing[0]!r}, found {', '.join(frame.columns)}; the model was fitted on {', '.join(names)}"
        )
    return frame[list(names)]


def _task(model: Any) -> str:
    if is_regressor(model):
        return "regression"
    if not is_classifier(model):
        raise ConfigError(
            f"the model: found {type(model).__name__}, wanted a classifier or a regressor, or a pipeline that ends in one"
        )
    if not hasattr(model, "predict_proba"):
        raise ConfigError(
            f"the model: {type(_steps(model)[-1]).__name__} gives no probabilities, wanted some; fit sklearn.calibration.CalibratedClassifierCV(model)"
        )
    return "classification"


def _answers(model: Any, task: str, frame: pd.DataFrame) -> np.ndarray:
    rows = frame if hasattr(model, "feature_names_in_") else frame.to_numpy()
    found = np.asarray(model.predict_proba(rows) if task == "classification" else model.predict(rows), dtype=np.float64)
    return found.reshape(len(frame), -1)


def _steps(model: Any) -> list[Any]:
    return [step for _, step in model.steps] if hasattr(model, "steps") else [model]


if __name__ == "__main__":
    sys.exit(run(import_estimator, sys.argv[1:]))
