"""The trial of a canary: what has been seen of it and of the champion, and what is to be done. Pure; fed by whoever serves both.

Three comparisons, each sequential (`sequential`), so that the verdict may be asked for at any time, and any number of times:

- one of them surely worse, by more than its margin: `roll back`;
- all of them surely no worse than by their margins, after the least number of requests: `promote`. Every one must pass, so a canary that
  fails one of them is promoted with that one's probability of error at most (intersection-union test, Berger 1982);
- time is over: `withdraw`; otherwise: `wait`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from tasks.scoring.policy import Policy
from tasks.scoring.sequential import NONE, Block, TwoArms

Action = Literal["wait", "promote", "roll back", "withdraw"]
State = Literal["worse", "as good", "undecided"]


@dataclass(frozen=True)
class TrialVerdict:
    """What is to be done, and why: what decided comes first."""

    action: Action
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """One comparison as it stands. `excess_at_most`: bound of the canary's share of bad outcomes minus the champion's."""

    name: str
    state: State
    counts: Block
    log_e: float
    excess_at_most: float
    margin: float


class Trial:
    """A canary beside the champion of its time: another champion, or another policy, is another trial."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._alpha = policy.alpha / 3
        self._margins = {"errors": policy.error_margin, "slow": policy.slow_margin, "wrong": policy.wrong_margin}
        self._arms = {name: TwoArms() for name in self._margins}

    def add(self, errors: Block = NONE, slow: Block = NONE, wrong: Block = NONE) -> None:
        """Take outcomes of one stretch of time into account.

        `errors`: requests, of which the model failed the bad ones; `slow`: batches, of which the bad ones took more than `slower` times
        what the champion's do; `wrong`: answers that feedback came for, of which the bad ones were wrong.
        """
        for name, block in (("errors", errors), ("slow", slow), ("wrong", wrong)):
            self._arms[name].add(block)

    def verdict(self, hours: float) -> TrialVerdict:
        """What is to be done, `hours` after the trial began."""
        compared = self._compared()
        action = self._action(compared, hours)
        decisive = {"roll back": "worse", "promote": "as good"}.get(action, "undecided")
        reasons = [self._reason(one) for one in sorted(compared, key=lambda one: one.state != decisive)]
        if action == "withdraw":
            reasons.insert(0, f"undecided after {hours:.1f} hours, wanted at most {self.policy.maximum_hours:g}")
        if action == "wait" and not self._enough:
            reasons.append(f"requests: canary {self._requests:,}, wanted at least {self.policy.minimum_requests:,}")
        return TrialVerdict(action, tuple(reasons))

    def to_json(self, hours: float) -> dict[str, Any]:
        """The trial as it stands, as plain JSON values for a page that shows it."""
        verdict = self.verdict(hours)
        return {
            "action": verdict.action,
            "reasons": list(verdict.reasons),
            "hours": hours,
            "policy": self.policy.to_json(),
            "comparisons": {one.name: _shown(one) for one in self._compared()},
        }

    def _action(self, compared: list[Compared], hours: float) -> Action:
        states = {one.state for one in compared}
        if "worse" in states:
            return "roll back"
        if states == {"as good"} and self._enough:
            return "promote"
        over = 0 < self.policy.maximum_hours <= hours
        return "withdraw" if over else "wait"

    def _compared(self) -> list[Compared]:
        """The comparisons that count: errors and slowness always, answers by the policy."""
        found = [self._compare(name) for name in self._arms]
        none_given = found[-1].counts == NONE
        left_out = self.policy.feedback == "ignored" or (self.policy.feedback == "if given" and none_given)
        return found[:-1] if left_out else found

    def _compare(self, name: str) -> Compared:
        arms, margin = self._arms[name], self._margins[name]
        most = arms.excess_at_most(self._alpha)
        if arms.worse(self._alpha, margin):
            state: State = "worse"
        else:
            state = "as good" if most < margin else "undecided"
        return Compared(name, state, arms.total, arms.highest, most, margin)

    @property
    def _requests(self) -> int:
        return self._arms["errors"].total.n_b

    @property
    def _enough(self) -> bool:
        return self._requests >= self.policy.minimum_requests

    def _reason(self, one: Compared) -> str:
        counts = one.counts
        start = f"{one.name}: canary {_share(counts.bad_b, counts.n_b)}, champion {_share(counts.bad_a, counts.n_a)}"
        evidence = f"e-value {_e_value(one.log_e)}, wanted {1 / self._alpha:,.0f}"
        bound = f"{_points(one.excess_at_most)}, margin {100 * one.margin:g}"
        told = {"worse": evidence, "as good": bound, "undecided": f"{bound}; {evidence} for worse"}
        return f"{start}: {one.state} ({told[one.state]})"


def _shown(one: Compared) -> dict[str, Any]:
    counts = one.counts
    return {
        "state": one.state,
        "champion": {"count": counts.n_a, "bad": counts.bad_a},
        "canary": {"count": counts.n_b, "bad": counts.bad_b},
        "log10_e_value": one.log_e / math.log(10),
        "excess_at_most": one.excess_at_most,
        "margin": one.margin,
    }


def _share(bad: int, count: int) -> str:
    return f"{100 * bad / count:.1f} % of {count:,}" if count else "none yet"


def _points(excess_at_most: float) -> str:
    points = 100 * excess_at_most
    return f"at most {points:.1f} points more" if points >= 0 else f"at least {-points:.1f} points fewer"


def _e_value(log_e: float) -> str:
    """In digits up to a million, then as a power of ten, which may be far beyond what a float holds."""
    if log_e < math.log(1e6):
        return f"{math.exp(log_e):,.1f}"
    exponent = math.floor(log_e / math.log(10))
    return f"{math.exp(log_e - exponent * math.log(10)):.1f}e{exponent}"
