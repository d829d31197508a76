"""How long a run of the model takes by its number of rows: T(b) = α + βb, learnt from the runs themselves."""

from __future__ import annotations

from typing import Final

# Each run makes the earlier ones count 1 % less, so some hundred runs are remembered.
_KEPT: Final = 0.99
# A run that took much longer than it should was held up by something else; if that stays, the fit follows in steps.
_CREDIBLE: Final = 4.0
_FIRST_RUNS: Final = 2
# Row counts that differ less than this, relative to their mean, say nothing about the cost of a row.
_SPREAD: Final = 0.02


class RunCost:
    """An online least-squares fit with forgetting. Times are in seconds."""

    __slots__ = ("_alpha", "_beta", "_n", "_runs", "_t", "_x", "_xt", "_xx")

    def __init__(self) -> None:
        """Start knowing nothing: every prediction is 0."""
        self._n = self._x = self._t = self._xx = self._xt = 0.0
        self._alpha = self._beta = 0.0
        self._runs = 0

    @property
    def known(self) -> bool:
        """Whether any run has been seen."""
        return self._n > 0

    @property
    def fixed(self) -> float:
        """α: what a run costs whatever its size."""
        return self._alpha

    @property
    def a_row(self) -> float:
        """β: what each row adds."""
        return self._beta

    def seconds(self, rows: float) -> float:
        """Return the predicted duration of one run."""
        return self._alpha + self._beta * rows

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from one run."""
        self._runs += 1
        if self._runs > _FIRST_RUNS:
            seconds = min(seconds, _CREDIBLE * self.seconds(rows))
        # Noise grows with the size of a run, so that small ones count as much as large ones by 1 / rows.
        weight = 1.0 / rows
        self._n = self._n * _KEPT + weight
        self._x = self._x * _KEPT + 1.0
        self._t = self._t * _KEPT + weight * seconds
        self._xx = self._xx * _KEPT + rows
        self._xt = self._xt * _KEPT + seconds
        self._solve()

    def _solve(self) -> None:
        mean_rows, mean_seconds = self._x / self._n, self._t / self._n
        variance = self._xx / self._n - mean_rows * mean_rows
        if variance > _SPREAD * mean_rows * mean_rows:
            self._beta = (self._xt / self._n - mean_rows * mean_seconds) / variance
        # With one size only, what is known of a row stays, and the rest follows from the mean.
        self._beta = min(max(self._beta, 0.0), mean_seconds / mean_rows)
        self._alpha = mean_seconds - self._beta * mean_rows

    def rows_within(self, seconds: float) -> float:
        """Return the size of the largest run that is predicted to take no longer; at least 1."""
        if self._beta <= 0:
            return float("inf")
        return max(1.0, (seconds - self._alpha) / self._beta)

    def worthwhile_rows(self, share: float) -> float:
        """Return the size from which the fixed cost is at most this share of a run: more rows gain nothing."""
        if self._beta <= 0:
            return float("inf")
        return (1 - share) / share * self._alpha / self._beta
