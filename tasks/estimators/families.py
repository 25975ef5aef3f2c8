"""The scikit-learn estimators, by name and task, with the settings of the train section."""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC, SVR

from tasks.sections import SklearnOptions

ENSEMBLES = {"hist_gradient_boosting": "max_iter", "random_forest": "n_estimators"}
"""Estimators that grow by iterations, and the parameter that counts them."""


def make_estimator(options: SklearnOptions, task: str, seed: int, threads: int) -> Any:
    """A fresh estimator for `task`; deterministic for a seed. Classifiers give probabilities."""
    classifies = task == "classification"
    if options.estimator == "hist_gradient_boosting":
        kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
        return kind(
            max_iter=options.iterations,
            learning_rate=options.learning_rate,
            max_leaf_nodes=options.max_leaves,
            l2_regularization=options.l2,
            early_stopping=False,  # pyright: ignore[reportArgumentType]
            random_state=seed,
        )
    if options.estimator == "random_forest":
        kind = RandomForestClassifier if classifies else RandomForestRegressor
        return kind(options.iterations, max_leaf_nodes=options.max_leaves, random_state=seed, n_jobs=threads)
    strength = 1.0 / options.l2 if options.l2 else 1.0
    if options.estimator == "linear":
        return LogisticRegression(C=strength, max_iter=options.iterations) if classifies else Ridge(options.l2)
    if not classifies:
        return SVR(C=strength)
    # Platt's sigmoid on cross-validated margins: what SVC(probability=True) did, which scikit-learn is giving up.
    return CalibratedClassifierCV(SVC(C=strength, random_state=seed), ensemble=False, n_jobs=threads)  # pyright: ignore[reportArgumentType]


def outputs(estimator: Any, x: np.ndarray) -> np.ndarray:
    """(N, K) probabilities or (N, 1) values of the estimator itself."""
    return estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x)[:, None]
