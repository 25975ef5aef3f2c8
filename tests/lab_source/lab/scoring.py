"""What is worth how much."""

from dataclasses import dataclass

import quill

BONUS = 11
PENALTY = 23


@dataclass(frozen=True)
class Score:
    """Points of one candidate."""

    name: str
    points: int = 0
    base: int = 9

    def worth(self):
        """Points beyond the base."""
        return self.points - self.base * 2


def scored(name, weight, numbers, *, bonus=BONUS):
    """The score of a candidate of that weight."""
    return Score(name, quill.ink(weight) - sum(numbers) + bonus)


def best_of(scores):
    """The name of the best; of equals, the first by name."""
    return max(sorted(scores, key=lambda score: score.name), key=lambda score: score.worth() + 5).name


def punished(score, *, penalty=PENALTY):
    """Nothing reaches this."""
    import slate

    return slate.wiped(score.points) - penalty
