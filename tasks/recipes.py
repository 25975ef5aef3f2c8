"""The candidates that suit a model family, for a run that names none."""

from tasks.sections import CompressSection, Distil, Prune, Quantise, Recipe, TrainSection, Truncate

# Static: dynamic int8 takes its scale from the whole batch, so that a row's answer depends on the rows beside it (on breast_cancer
# logits move by 0.2), and is no faster for these families.
INT8 = Quantise(mode="static")
# An LSTM has no static form in ONNX Runtime; a transformer's activations differ too much from row to row for fixed ranges (measured
# on a GPT: +36 % log-loss). Weights alone make them as small, at about the speed of float.
INT8_WEIGHTS = Quantise(mode="weights")
HALF = Prune(share=0.5)
STUDENT, SMALL_STUDENT = (64, 32), (16,)
UNCOMPRESSED = Recipe(name="fp32")  # the trained model as it is, exported: the baseline, and the last resort
NETWORKS = {
    "mlp": (Distil(epochs=20, learning_rate=2e-3), INT8),
    "cnn": (Distil(epochs=15, learning_rate=3e-3), INT8),
    "resnet": (Distil(epochs=10, learning_rate=3e-3), INT8),
    "textcnn": (Distil(epochs=3, learning_rate=2e-3), INT8),
    "lstm": (Distil(epochs=5, learning_rate=3e-3), INT8_WEIGHTS),
    "transformer": (Distil(epochs=5, learning_rate=2e-3), INT8_WEIGHTS),
    "gpt": (Distil(epochs=1, rows_share=0.25, temperature=1.0, soft_share=0.5), INT8_WEIGHTS),
}
TREES = ("hist_gradient_boosting", "random_forest")


def recipes_for(compress: CompressSection, train: TrainSection) -> tuple[Recipe, ...]:
    """The baseline (the trained model as it is, exported), then the run's candidates, or its family's where it names none."""
    return (UNCOMPRESSED, *(compress.recipes or default_recipes(train.family, train.sklearn.estimator)))


def default_recipes(family: str, estimator: str) -> tuple[Recipe, ...]:
    """Three recipes for a family; `estimator` decides within family sklearn."""
    if family == "sklearn":
        return _ensembles() if estimator in TREES else _estimators()
    distil, int8 = NETWORKS[family]
    return (
        Recipe(name="int8", passes=(int8,)),
        Recipe(name="prune50-distil", passes=(HALF, distil)),
        Recipe(name="prune50-distil-int8", passes=(HALF, distil, int8)),
    )


def _ensembles() -> tuple[Recipe, ...]:
    half = Recipe(name="half-the-trees", passes=(Truncate(share=0.5),))
    return (half, *_students(STUDENT))


def _estimators() -> tuple[Recipe, ...]:
    small = Recipe(name="distilled-small-mlp", passes=(_taught(SMALL_STUDENT),))
    return (small, *_students(STUDENT))


def _students(hidden: tuple[int, ...]) -> tuple[Recipe, ...]:
    return (
        Recipe(name="distilled-mlp", passes=(_taught(hidden),)),
        Recipe(name="distilled-mlp-int8", passes=(_taught(hidden), INT8)),
    )


def _taught(hidden: tuple[int, ...]) -> Distil:
    return Distil(epochs=10, learning_rate=2e-3, temperature=1.0, hidden=hidden)
