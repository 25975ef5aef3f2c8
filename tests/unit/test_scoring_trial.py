"""The trial of a canary: when it is rolled back, promoted, withdrawn or waited for, by simulation and by what it says."""

import json
from collections import Counter

import numpy as np
import pytest

from storage.errors import ConfigError
from tasks.scoring.policy import Policy
from tasks.scoring.sequential import NONE, Block
from tasks.scoring.trial import Trial

QUICK = (0.02, 0.02)  # shares of slow batches: the champion's, the canary's


def outcomes(random: np.random.Generator, canary: int, shares: tuple[float, float]) -> Block:
    """`canary` requests of the canary's, and what comes to the champion beside them with a share of 10 %."""
    beside = int(random.negative_binomial(canary, 0.1))
    return Block(beside, int(random.binomial(beside, shares[0])), canary, int(random.binomial(canary, shares[1])))


def decided(
    random: np.random.Generator,
    errors: tuple[float, float] = (0.0, 0.0),
    slow: tuple[float, float] = QUICK,
    wrong: tuple[float, float] | None = None,
    step: int = 20,
    most: int = 30_000,
) -> tuple[str, int]:
    """The first verdict that is not `wait`, and after how many requests of the canary's."""
    trial = Trial(Policy())
    for requests in range(step, most + 1, step):
        answers = outcomes(random, step, wrong) if wrong else NONE
        trial.add(outcomes(random, step, errors), outcomes(random, step, slow), answers)
        if (action := trial.verdict(hours=0.0).action) != "wait":
            return action, requests
    return "wait", most


def many(count: int, **trial: object) -> tuple[Counter[str], list[int]]:
    """The verdicts of `count` trials, and after how many requests each was given, in order."""
    random = np.random.default_rng(11)
    found = [decided(random, **trial) for _ in range(count)]  # pyright: ignore[reportArgumentType]
    return Counter(action for action, _ in found), sorted(requests for _, requests in found)


def test_a_fifth_of_errors_is_rolled_back_within_200_requests():
    verdicts, requests = many(300, errors=(0.0, 0.2))
    assert verdicts == {"roll back": 300}
    assert requests[int(0.99 * 300)] <= 200


def test_three_times_as_slow_is_rolled_back_at_once():
    verdicts, requests = many(100, slow=(0.02, 0.95))
    assert verdicts == {"roll back": 100}
    assert requests[-1] <= 60


def test_ten_points_more_wrong_answers_are_rolled_back():
    verdicts, requests = many(200, wrong=(0.05, 0.15))
    assert verdicts["roll back"] >= 198
    assert requests[100] <= 200
    assert requests[int(0.99 * 200)] <= 500


@pytest.mark.parametrize("errors", [(0.0, 0.0), (0.005, 0.005), (0.01, 0.002)])
def test_a_canary_that_is_as_good_or_better_is_promoted(errors: tuple[float, float]):
    verdicts, requests = many(20, errors=errors, step=200)
    assert verdicts == {"promote": 20}
    assert requests[10] <= 5000


def test_a_canary_that_is_worse_by_more_than_a_margin_is_not_promoted():
    verdicts, _ = many(40, errors=(0.0, 0.013), step=200)
    assert verdicts["promote"] == 0


def fed(policy: Policy, **blocks: Block) -> Trial:
    trial = Trial(policy)
    trial.add(**blocks)
    return trial


GOOD, EQUAL = Block(18_000, 0, 2000, 0), Block(18_000, 180, 2000, 20)


def test_the_reasons_say_what_was_found_and_what_decided_comes_first():
    trial = fed(Policy(), errors=Block(1840, 0, 206, 40), slow=Block(400, 8, 80, 1))
    verdict = trial.verdict(hours=0.1)
    assert verdict.action == "roll back"
    assert verdict.reasons[0].startswith("errors: canary 19.4 % of 206, champion 0.0 % of 1,840: worse (e-value ")
    assert verdict.reasons[0].endswith(", wanted 300)")
    assert verdict.reasons[1].startswith("slow: canary 1.2 % of 80, champion 2.0 % of 400: as good (at most ")
    slow = fed(Policy(), errors=GOOD, slow=Block(400, 8, 80, 79)).verdict(hours=0.1)
    assert [reason.partition(":")[0] for reason in slow.reasons] == ["slow", "errors"]


def test_nothing_seen_is_waited_for():
    verdict = Trial(Policy()).verdict(hours=0.0)
    assert verdict.action == "wait"
    assert verdict.reasons[0].startswith("errors: canary none yet, champion none yet: undecided")
    assert verdict.reasons[-1] == "requests: canary 0, wanted at least 200"


def test_the_least_number_of_requests_is_waited_for():
    for wanted, action in ((2001, "wait"), (2000, "promote")):
        assert fed(Policy(minimum_requests=wanted), errors=GOOD, slow=EQUAL).verdict(0.0).action == action


@pytest.mark.parametrize(
    ("feedback", "wrong", "action"),
    [
        ("if given", NONE, "promote"),
        ("if given", Block(90, 4, 10, 0), "wait"),
        ("if given", Block(90_000, 4500, 10_000, 500), "promote"),
        ("if given", Block(900, 45, 100, 40), "roll back"),
        ("required", NONE, "wait"),
        ("required", Block(90_000, 4500, 10_000, 500), "promote"),
        ("ignored", Block(900, 45, 100, 40), "promote"),
    ],
)
def test_feedback_counts_as_the_policy_says(feedback: str, wrong: Block, action: str):
    trial = fed(Policy(feedback=feedback), errors=GOOD, slow=EQUAL, wrong=wrong)
    assert trial.verdict(hours=0.0).action == action


def test_an_undecided_canary_is_withdrawn_when_its_time_is_over():
    policy = Policy(maximum_hours=2.0)
    undecided = fed(policy, errors=Block(900, 9, 100, 1), slow=EQUAL)
    assert undecided.verdict(hours=1.9).action == "wait"
    verdict = undecided.verdict(hours=2.0)
    assert (verdict.action, verdict.reasons[0]) == ("withdraw", "undecided after 2.0 hours, wanted at most 2")
    assert fed(policy, errors=GOOD, slow=EQUAL).verdict(hours=3.0).action == "promote"
    assert fed(policy, errors=Block(900, 0, 100, 50)).verdict(hours=3.0).action == "roll back"
    assert fed(Policy(), errors=Block(900, 9, 100, 1)).verdict(hours=1e6).action == "wait"


@pytest.mark.parametrize("field", ["error_margin", "slow_margin", "wrong_margin", "alpha"])
def test_every_margin_and_the_probability_of_error_count(field: str):
    bad = {"error_margin": "errors", "slow_margin": "slow", "wrong_margin": "wrong"}
    block = Block(9000, 90, 1000, 60)
    name = bad.get(field, "errors")
    others = {"errors": GOOD, "slow": EQUAL} | {name: block}
    strict = Policy(error_margin=0.01, slow_margin=0.01, wrong_margin=0.01)
    loose = Policy(**{"error_margin": 0.01, "slow_margin": 0.01, "wrong_margin": 0.01, field: 1e-40 if field == "alpha" else 0.5})  # fmt: skip
    assert fed(strict, **others).verdict(0.0).action == "roll back"
    assert fed(loose, **others).verdict(0.0).action != "roll back"


def test_a_trial_as_json_has_its_verdict_and_its_figures():
    found = json.loads(json.dumps(fed(Policy(), errors=Block(1840, 0, 206, 40)).to_json(hours=0.5)))
    assert (found["action"], found["hours"], found["policy"]) == ("roll back", 0.5, Policy().to_json())
    errors = found["comparisons"]["errors"]
    assert errors["state"] == "worse"
    assert (errors["champion"], errors["canary"]) == ({"count": 1840, "bad": 0}, {"count": 206, "bad": 40})
    assert errors["log10_e_value"] > 10
    assert set(found["comparisons"]) == {"errors", "slow"}


def test_evidence_beyond_every_float_is_still_told():
    verdict = fed(Policy(), errors=Block(9_000_000, 0, 1_000_000, 1_000_000)).verdict(0.0)
    assert "worse (e-value " in verdict.reasons[0]


def test_a_policy_survives_a_journey_as_json_and_fills_what_is_missing():
    policy = Policy(automatic=False, alpha=0.05, feedback="required", maximum_hours=12)
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy
    assert Policy.from_json({"slower": 3}) == Policy(slower=3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"alhpa": 0.1}, "found 'alhpa', wanted alpha"),
        ({"alpha": 0}, "alpha: found 0, wanted a probability"),
        ({"alpha": "0.1"}, "alpha: found '0.1'"),
        ({"automatic": 1}, "automatic: found 1, wanted true or false"),
        ({"minimum_requests": 0.5}, "minimum_requests: found 0.5, wanted a whole number"),
        ({"minimum_requests": True}, "minimum_requests: found True"),
        ({"error_margin": 1}, "error_margin: found 1, wanted a share"),
        ({"slow_margin": float("nan")}, "slow_margin: found nan"),
        ({"wrong_margin": -0.1}, "wrong_margin: found -0.1"),
        ({"slower": 1}, "slower: found 1, wanted a number above 1"),
        ({"slower": float("inf")}, "slower: found inf"),
        ({"feedback": "never"}, "feedback: found 'never', wanted 'if given' or 'required' or 'ignored'"),
        ({"feedback": ["required"]}, "feedback: found"),
        ({"maximum_hours": -1}, "maximum_hours: found -1"),
        ({"maximum_hours": None}, "maximum_hours: found None"),
    ],
)
def test_a_policy_that_makes_no_sense_names_field_found_and_wanted(data: dict[str, object], said: str):
    with pytest.raises(ConfigError) as refused:
        Policy.from_json(data)
    assert said in str(refused.value)
