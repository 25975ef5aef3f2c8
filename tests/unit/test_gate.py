"""The gate's decisions, and the choice before it."""

import numpy as np
import pytest

from storage.errors import ConfigError, SchemaError
from tasks.scoring.choice import Candidate, choose
from tasks.scoring.gate import Verdict, decide
from tasks.scoring.metrics import score
from tasks.sections import EvaluateSection

CLASSES = 10


def section(**changes: object) -> EvaluateSection:
    return EvaluateSection.model_validate({"metric": "accuracy", "margin": 0.02, "resamples": 1000, **changes})


def model(y: np.ndarray, wrong: list[int] | range = range(0)) -> np.ndarray:
    """Probabilities that are right on every row but the `wrong` ones."""
    answers = y.copy()
    answers[list(wrong)] = (answers[list(wrong)] + 1) % CLASSES
    return 0.9 * np.eye(CLASSES)[answers] + 0.01


def labels(rows: int) -> np.ndarray:
    return np.arange(rows) % CLASSES


def random_model(rows: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(CLASSES), size=rows)


def judged(
    y: np.ndarray, candidate: np.ndarray, *others: np.ndarray, settings: EvaluateSection | None = None, **flags: object
) -> Verdict:
    settings = settings or section()
    task = "regression" if settings.metric == "rmse" else "classification"
    names = [str(index) for index in range(CLASSES)]
    scores = score(task, names, y, candidate, confidence=0.95, resamples=200, seed=0)
    return decide(settings, y, candidate, *others, scored=scores.metrics[settings.metric], **flags)  # type: ignore[arg-type]


def test_twenty_rows_without_one_discordance_never_promote() -> None:
    y = labels(20)
    verdict = judged(y, model(y), model(y), model(y))
    assert verdict.decision == "hold"
    assert "129 more test examples would do (20 now)" in verdict.reasons[0]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_twenty_equal_rows_hold_by_every_metric(metric: str) -> None:
    y = labels(20)
    assert judged(y, model(y), model(y), settings=section(metric=metric)).decision == "hold"


def test_450_rows_without_discordance_promote() -> None:
    y = labels(450)
    verdict = judged(y, model(y), model(y), model(y))
    assert verdict.decision == "promote"
    assert verdict.bounds["champion"]["low"] == pytest.approx(-(1 - 0.05 ** (1 / 450)))
    assert verdict.reasons[0] == (
        "accuracy 100 % against the uncompressed model's 100 %: at worst 0.7 points lower (95 %), within the margin of 2 points"
    )


def test_a_poisoned_candidate_is_rejected() -> None:
    y = labels(450)
    verdict = judged(y, random_model(450), model(y), model(y, range(5)))
    assert verdict.decision == "reject"
    assert "points lower (95 %), more than the margin" in verdict.reasons[0]


def test_a_poisoned_teacher_does_not_save_a_poisoned_candidate_from_the_champion() -> None:
    y, poisoned = labels(450), random_model(450)
    verdict = judged(y, poisoned, poisoned, model(y))
    assert verdict.decision == "reject"
    assert "the champion's" in verdict.reasons[0]


def test_twenty_rows_are_enough_to_reject_what_is_surely_worse() -> None:
    y = labels(20)
    assert judged(y, model(y, range(15)), model(y)).decision == "reject"


def test_a_few_lost_rows_pass_and_more_hold() -> None:
    y = labels(450)
    assert judged(y, model(y, range(2)), model(y)).decision == "promote"
    verdict = judged(y, model(y, range(6)), model(y))
    assert verdict.decision == "hold"
    assert "more test examples would do (450 now)" in verdict.reasons[0]


def test_many_discordant_pairs_are_bootstrapped() -> None:
    y = labels(3000)
    verdict = judged(y, model(y, range(0, 60)), model(y, range(100, 160)))
    assert verdict.bounds["teacher"]["method"] == "bootstrap"
    assert verdict.decision == "promote"
    error = np.sqrt(120) / 3000
    assert verdict.bounds["teacher"]["low"] == pytest.approx(-1.645 * error, rel=0.1)


def test_a_loss_beyond_the_margin_that_is_not_sure_says_that_no_number_of_rows_would_do() -> None:
    y = labels(100)
    verdict = judged(y, model(y, range(3)), model(y))
    assert verdict.decision == "hold"
    assert "no number of examples would do" in verdict.reasons[0]


def test_a_model_that_was_rolled_back_does_not_come_back_by_itself() -> None:
    y = labels(450)
    verdict = judged(y, model(y), model(y), model(y), rolled_back=True)
    assert verdict.decision == "hold"
    assert "rolled back" in verdict.reasons[0]


def test_a_champion_that_cannot_be_compared_holds_with_the_reason() -> None:
    y = labels(450)
    verdict = judged(y, model(y), model(y), not_comparable="its classes differ")
    assert verdict.decision == "hold"
    assert "its classes differ" in verdict.reasons[0]


def test_the_first_model_says_that_there_is_no_champion() -> None:
    y = labels(450)
    assert "there is no champion yet to compare with" in judged(y, model(y), model(y)).reasons


def test_below_the_minimum_is_rejected_however_equal_the_models_are() -> None:
    y = labels(450)
    bad = model(y, range(90))
    verdict = judged(y, bad, bad, settings=section(minimum=0.9))
    assert verdict.decision == "reject"
    assert verdict.reasons[0] == "accuracy 80 % is below the minimum of 90 %"


def test_a_value_just_above_the_minimum_passes_and_says_what_its_interval_reaches() -> None:
    y = labels(450)
    near = model(y, range(40))
    verdict = judged(y, near, near, settings=section(minimum=0.91))
    assert verdict.decision == "promote"
    assert "though its interval reaches" in verdict.reasons[0]


def test_outputs_that_are_not_numbers_are_rejected() -> None:
    y = labels(450)
    broken = model(y)
    broken[7] = np.nan
    verdict = judged(y, broken, model(y))
    assert verdict.decision == "reject"
    assert "on 1 of 450 rows are not finite" in verdict.reasons[0]


def test_macro_f1_sees_a_rare_class_that_accuracy_overlooks() -> None:
    y = np.zeros(2000, dtype=int)
    y[:10] = 1
    blind = model(y)
    blind[:10] = model(np.zeros(10, dtype=int))
    assert judged(y, blind, model(y)).decision == "promote"
    assert judged(y, blind, model(y), settings=section(metric="macro_f1")).decision == "reject"


def test_log_loss_sees_overconfidence_that_accuracy_overlooks() -> None:
    y = labels(600)
    calm, sure = model(y, range(30)), model(y, range(30))
    sure = np.where(sure > 0.5, 1 - 9e-7, 1e-7)
    assert judged(y, sure, calm, settings=section(metric="log_loss")).decision == "reject"
    assert judged(y, calm, sure, settings=section(metric="log_loss")).decision == "promote"


def test_rmse_has_a_relative_margin_and_its_figures_in_the_targets_unit() -> None:
    random = np.random.default_rng(1)
    y = random.normal(size=2000)
    teacher = (y + random.normal(scale=0.3, size=2000))[:, None]
    settings = section(metric="rmse", margin=0.03)
    near, far = teacher + random.normal(scale=0.01, size=(2000, 1)), teacher + random.normal(scale=0.3, size=(2000, 1))
    assert judged(y, near, teacher, settings=settings, target_scale=(0.0, 10.0)).decision == "promote"
    verdict = judged(y, far, teacher, settings=settings, target_scale=(0.0, 10.0))
    assert verdict.decision == "reject"
    assert verdict.reasons[0].startswith("RMSE 4.")


def test_the_verdict_repeats_itself() -> None:
    y = labels(600)
    settings = section(metric="log_loss")
    first, second = (judged(y, model(y, range(9)), model(y, range(5)), settings=settings) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_models_of_other_rows_or_another_task_are_refused() -> None:
    y = labels(100)
    with pytest.raises(SchemaError, match="reference"):
        judged(y, model(y), model(labels(90)))
    with pytest.raises(ConfigError, match="rmse"):
        decide(section(metric="rmse"), y, model(y), model(y), scored={"value": 1, "low": 1, "high": 1})


def candidates(y: np.ndarray, **changes: object) -> list[Candidate]:
    small = {"name": "small", "outputs": model(y, range(1)), "model_bytes": 100, "operations": 10, **changes}
    return [Candidate(**small), Candidate("middle", model(y), 300, 10)]  # type: ignore[arg-type]


def baseline(y: np.ndarray) -> Candidate:
    return Candidate("fp32", model(y), 1000, 20)


def test_the_smallest_of_the_good_ones_is_chosen_and_every_other_has_its_reason() -> None:
    y = labels(250)
    choice = choose(section(), y, candidates(y), baseline(y))
    assert choice.name == "small"
    assert choice.why["small"] == "accuracy 99.6 % on validation: good enough, and the smallest that is"
    assert choice.why["middle"] == "accuracy 100 % on validation: good enough, but 3.0× the size of small"
    assert choice.why["fp32"] == "accuracy 100 % on validation: good enough, but 10.0× the size of small"


def test_more_than_half_the_margin_lost_on_validation_is_not_eligible() -> None:
    y = labels(250)
    choice = choose(section(), y, candidates(y, outputs=model(y, range(3))), baseline(y))
    assert choice.name == "middle"
    assert "1.2 points worse than uncompressed, more than half the margin (1 point)" in choice.why["small"]


def test_latency_vetoes_only_what_is_surely_slower_at_both_batch_sizes() -> None:
    y = labels(250)
    slow, unsure = (0.5, 0.45, 0.55), (0.9, 0.7, 1.1)
    assert choose(section(), y, candidates(y, speed={1: slow, 32: slow}), baseline(y)).name == "middle"
    assert choose(section(), y, candidates(y, speed={1: slow, 32: unsure}), baseline(y)).name == "small"
    assert choose(section(max_slowdown=2.5), y, candidates(y, speed={1: slow, 32: slow}), baseline(y)).name == "small"


def test_equal_bytes_are_decided_by_operations_then_by_name() -> None:
    y = labels(250)
    alike = [Candidate("b", model(y), 100, 9), Candidate("c", model(y), 100, 5), Candidate("a", model(y), 100, 9)]
    assert choose(section(), y, alike, baseline(y)).name == "c"
    assert choose(section(), y, alike[::2], baseline(y)).name == "a"


def test_the_uncompressed_model_is_the_last_resort() -> None:
    y = labels(250)
    broken = np.full((250, CLASSES), np.nan)
    choice = choose(section(), y, [Candidate("broken", broken, 10, 1)], baseline(y))
    assert choice.name == "fp32"
    assert "not always finite" in choice.why["broken"]
