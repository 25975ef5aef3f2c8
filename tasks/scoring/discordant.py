"""The exact bound for paired right-or-wrong answers, for when few pairs are discordant. numpy only.

`lost`: rows that the reference gets right and the candidate wrong; `won`: the other way round. The difference is the
probability of winning minus that of losing a row.

The percentile bootstrap only repeats what it has seen: without a discordant pair it claims certainty. Below `FEW` discordant
pairs the bound is therefore exact: the set of differences that the unconditional exact test does not refuse (Hsueh, Liu and
Chen 2001, Biometrics 57:478), outcomes ordered by Tango's score (1998, Statistics in Medicine 17:891), the unknown share of
won rows running over a confidence interval of its own (Berger and Boos 1994, JASA 89:1012). 25 is the usual limit of
McNemar's asymptotic test, below which an exact one is advised (Fagerland, Lydersen and Laake 2013, BMC Med Res Methodol 13:91).
"""

import math

import numpy as np

from tasks.scoring.statistics import log_factorials, rows_for_mean, share_above, unseen_share

FEW = 25
NUISANCE_LEVEL = 0.0005  # taken off the level for bounding the share of won rows (Berger and Boos)
NUISANCE_POINTS = 50


def exact_bounds(lost: int, won: int, rows: int, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the difference, each one-sided at `confidence`."""
    return _lower(lost, won, rows, confidence), -_lower(won, lost, rows, confidence)


def rows_for_pairs(lost: int, won: int, rows: int, margin: float, confidence: float) -> int | None:
    """About how many rows, discordant at the same rates, would put the lower bound above −margin; None: no number would."""
    mean = (won - lost) / rows
    deviation = math.sqrt(max(0.0, (won + lost) / rows - mean**2))
    wanted = rows_for_mean(mean, deviation, margin, confidence)
    for _ in range(40):
        if wanted is None:
            return None
        scaled_lost, scaled_won = round(lost * wanted / rows), round(won * wanted / rows)
        few = scaled_lost + scaled_won < FEW
        if not few or _lower(scaled_lost, scaled_won, wanted, confidence) > -margin:
            return wanted
        wanted = math.ceil(wanted * 1.08)
    return wanted


def _lower(lost: int, won: int, rows: int, confidence: float) -> float:
    if lost == won == 0:
        return -unseen_share(rows, confidence)
    test, level = _Test(lost, won, rows, confidence), 1 - confidence
    near, far = -test.won_most, share_above(lost, rows, 1 - level / 2)
    for _ in range(26):
        middle = (near + far) / 2
        near, far = (middle, far) if test.p_value(middle) > level else (near, middle)
    return -far


class _Test:
    """How probable it is, at a given true loss, to look at least as good as `lost` and `won` of `rows` do."""

    def __init__(self, lost: int, won: int, rows: int, confidence: float) -> None:
        self.observed, self.rows = (np.array(lost), np.array(won)), rows
        self.won_most = share_above(won, rows, 1 - NUISANCE_LEVEL)
        worst = rows * (self.won_most + share_above(lost, rows, 1 - (1 - confidence) / 2))
        reach = min(rows, math.ceil(worst + 5 * math.sqrt(worst)))  # outcomes beyond count as if they looked better
        lost_grid, won_grid = (grid.ravel() for grid in np.indices((reach + 1, reach + 1)))
        possible = lost_grid + won_grid <= rows
        self.lost, self.won = lost_grid[possible], won_grid[possible]
        logs = log_factorials(rows)
        self.ways = logs[rows] - logs[self.lost] - logs[self.won] - logs[rows - self.lost - self.won]

    def p_value(self, loss: float) -> float:
        """The greatest probability over all shares of won rows that the data allow."""
        better = tango_score(self.lost, self.won, self.rows, loss) >= (
            tango_score(*self.observed, self.rows, loss) - 1e-9
        )
        least, most = max(0.0, -loss) + 1e-12, min(self.won_most, (1 - loss) / 2) - 1e-12
        if least >= most:
            return 1.0
        shares = np.linspace(least, most, NUISANCE_POINTS)
        return NUISANCE_LEVEL + max(self._probability(better, loss, won) for won in shares)

    def _probability(self, better: np.ndarray, loss: float, won: float) -> float:
        rest = max(1e-300, 1 - 2 * won - loss)  # share of concordant rows
        logs = self.ways + self.lost * math.log(won + loss) + self.won * math.log(won)
        terms = np.exp(logs + (self.rows - self.lost - self.won) * math.log(rest))
        return 1.0 - float(terms[~better].sum())


def tango_score(lost: np.ndarray, won: np.ndarray, rows: int, loss: float) -> np.ndarray:
    """Tango's (1998) score for the hypothesis that the true difference is −`loss`; greater: the candidate looks better."""
    linear = -lost - won + (2 * rows - lost + won) * loss
    root = np.sqrt(np.maximum(0.0, linear**2 + 8 * rows * won * loss * (1 - loss)))
    variance = rows * (2 * (root - linear) / (4 * rows) + loss * (1 - loss))
    return (won - lost + rows * loss) / np.sqrt(np.maximum(variance, 1e-12))
