"""The candidates that suit a model family, for a run that names none."""

from collections import Counter

from storage.errors import ConfigError
from tasks.sections import CompressSection, Distil, Prune, Quantise, Recipe, TrainSection, Truncate

STATIC, DYNAMIC = Quantise(mode="static"), Quantise(mode="dynamic")
HALF = Prune(share=0.5)
STUDENT = (64, 32)
UNCOMPRESSED = Recipe(name="fp32")  # the trained model as it is, exported: the baseline, and the last resort
TREES = ("hist_gradient_boosting", "random_forest")


def recipes_for(compress: CompressSection, train: TrainSection) -> tuple[Recipe, ...]:
    """The baseline (the trained model as it is, exported), then the candidates. ConfigError when two have one name."""
    named = compress.recipes or default_recipes(train.family, train.sklearn.estimator)
    recipes = (UNCOMPRESSED, *(recipe for recipe in named if recipe.passes))
    name, count = Counter(recipe.name for recipe in recipes).most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"compress.recipes: found the name {name!r} {count} times, wanted each once ({UNCOMPRESSED.name!r} is the baseline's)"
        )
    return recipes


def default_recipes(family: str, estimator: str) -> tuple[Recipe, ...]:
    """At least three recipes for a family; `estimator` decides within family sklearn."""
    if family == "sklearn":
        return _ensembles() if estimator in TREES else _estimators()
    if family == "cnn":
        return _networks(STATIC, Distil(epochs=15, learning_rate=3e-3))
    if family == "mlp":
        return _networks(DYNAMIC, Distil(epochs=20, learning_rate=2e-3))
    return _networks(STATIC, Distil(epochs=2, learning_rate=1e-3))


def _networks(quantise: Quantise, distil: Distil) -> tuple[Recipe, ...]:
    return (
        Recipe(name="int8", passes=(quantise,)),
        Recipe(name="prune50-distil", passes=(HALF, distil)),
        Recipe(name="prune50-distil-int8", passes=(HALF, distil, quantise)),
    )


def _ensembles() -> tuple[Recipe, ...]:
    return (
        Recipe(name="whole"),
        Recipe(name="half-the-trees", passes=(Truncate(share=0.5),)),
        *_students(),
    )


def _estimators() -> tuple[Recipe, ...]:
    return (Recipe(name="whole"), *_students())


def _students() -> tuple[Recipe, ...]:
    distil = Distil(epochs=10, learning_rate=1e-3, temperature=1.0, hidden=STUDENT)
    return (
        Recipe(name="distilled-mlp", passes=(distil,)),
        Recipe(name="distilled-mlp-int8", passes=(distil, DYNAMIC)),
    )
