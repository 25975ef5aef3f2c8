"""scikit-learn models saved by skops: whole pipelines come in as they answer; what is not scikit-learn's own is never made."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import CLASSES, COLUMNS, ITEMS, ROWS, TARGETS
from imported import NAMES, answers, importing, predictor_of, summary, write_irises, write_json
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

skops = pytest.importorskip("skops.io")

FRAME = pd.DataFrame(ROWS, columns=list(COLUMNS))


def double(x: np.ndarray) -> np.ndarray:
    """A user's own function, which a pipeline of theirs calls."""
    return 2 * x


def test_a_pipeline_is_converted_whole_and_answers_as_its_predict_proba(tmp_path: Path):
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, NAMES)
    skops.dump(fitted, tmp_path / "model.skops")
    told = summary(
        tmp_path, "flowers", "model.skops", "--data", write_irises(tmp_path / "rows.csv"), "--target", "species"
    )
    assert (told["format"], told["classes"], told["release"]["alias"]) == ("skops", list(CLASSES), "champion")
    assert told["inspected"]["family"] == "StandardScaler → LogisticRegression"
    np.testing.assert_allclose(
        answers(predictor_of(tmp_path, "flowers"), ITEMS)[1], fitted.predict_proba(FRAME), atol=1e-6
    )


def test_columns_are_found_by_the_names_it_was_fitted_on_and_texts_are_encoded_by_it(tmp_path: Path):
    frame = FRAME.assign(colour=np.where(TARGETS > 0, "red", "blue"))[["petal_width", "colour", "sepal_width"]]
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]), (StandardScaler(), ["petal_width", "sepal_width"])
    )
    fitted = make_pipeline(encoded, RandomForestClassifier(10, random_state=0)).fit(frame[::3], NAMES[::3])
    skops.dump(fitted, tmp_path / "model.skops")
    frame[["colour", "sepal_width", "petal_width"]].assign(note="x").to_csv(tmp_path / "rows.csv", index=False)
    told = summary(tmp_path, "flowers", "model.skops", "--sample", "rows.csv")
    assert sorted(told["columns"]) == ["colour", "petal_width", "sepal_width"]
    asked = frame.assign(colour="green")  # which it has never seen
    items = json.loads(asked.to_json(orient="records"))
    served = asked.astype({"petal_width": np.float32, "sepal_width": np.float32})
    np.testing.assert_allclose(
        answers(predictor_of(tmp_path, "flowers"), items)[1], fitted.predict_proba(served), atol=1e-6
    )


def test_a_regressor_answers_as_its_predict(tmp_path: Path):
    data = load_diabetes(as_frame=True, scaled=False).frame
    fitted = GradientBoostingRegressor(n_estimators=20).fit(data.drop(columns="target"), data["target"])
    skops.dump(fitted, tmp_path / "model.skops")
    data.to_csv(tmp_path / "rows.csv", index=False)
    told = summary(tmp_path, "sugar", "model.skops", "--sample", "rows.csv", "--target", "target")
    assert (told["task"], told["parity"]["rows"]) == ("regression", 442)
    items = json.loads(data.drop(columns="target").to_json(orient="records"))
    np.testing.assert_allclose(
        answers(predictor_of(tmp_path, "sugar"), items)[0], fitted.predict(data.drop(columns="target")), rtol=1e-5
    )


def test_a_type_that_is_not_scikit_learn_s_own_is_refused_by_name(tmp_path: Path):
    fitted = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(ROWS, TARGETS)
    skops.dump(fitted, tmp_path / "model.skops")
    done = importing(tmp_path, "flowers", "model.skops", "--sample", write_json(tmp_path / "rows.json", ITEMS))
    assert done.code == 1
    assert "test_imports_skops.double" in done.err
    assert "wanted scikit-learn's and numpy's own alone" in done.err


def test_a_classifier_without_probabilities_is_refused_with_what_gives_it_some(tmp_path: Path):
    skops.dump(LinearSVC().fit(ROWS, TARGETS), tmp_path / "model.skops")
    done = importing(tmp_path, "flowers", "model.skops", "--sample", write_json(tmp_path / "rows.json", ITEMS))
    assert done.code == 1
    assert "LinearSVC gives no probabilities" in done.err
    assert "CalibratedClassifierCV" in done.err


def test_a_sample_without_a_column_that_it_was_fitted_on_is_refused(tmp_path: Path):
    skops.dump(LogisticRegression(max_iter=500).fit(FRAME, TARGETS), tmp_path / "model.skops")
    FRAME.drop(columns="petal_width").to_csv(tmp_path / "rows.csv", index=False)
    done = importing(tmp_path, "flowers", "model.skops", "--sample", "rows.csv")
    assert done.code == 1
    assert "has no column 'petal_width'" in done.err
