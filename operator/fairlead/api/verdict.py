"""What the analysis says to the rollout: one verdict, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The four answers of the analysis."""

    CONTINUE = "Continue"
    ADVANCE = "Advance"
    ROLLBACK = "Rollback"
    INCONCLUSIVE = "Inconclusive"


class Reason:
    """Constant reasons of a verdict, for status and events."""

    REGRESSION = "Regression"
    PROVEN = "ProvenNonInferior"
    NO_HARM_SEEN = "NoEvidenceOfHarm"
    COLLECTING = "CollectingEvidence"
    NOT_PROVEN = "NotProven"
    NO_DATA = "NoData"
    PROVIDER_ERROR = "ProviderError"
    BAD_QUERY = "InvalidMetric"
    NOT_CONFIGURED = "PrometheusNotConfigured"
    UNKNOWN_CONNECTION_AGE = "UnknownConnectionAge"
    DISABLED = "AnalysisDisabled"
    SPLIT = "SplitMismatch"
    INPUTS_DIFFER = "InputsDiffer"
    PREDICTIONS_DIFFER = "PredictionsDiffer"
    VETO = "Vetoed"
    POD_NOISE = "PodsDiffer"
    PLACEBO = "PlaceboFired"
    THRESHOLD = "ThresholdExceeded"

    HOLDS = frozenset({SPLIT, INPUTS_DIFFER, PREDICTIONS_DIFFER, VETO, POD_NOISE, PLACEBO})
    """No step is left while one of these stands, be it only a pause."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric so far, both arms, since the stage began (`n` requests, `k` of them bad).

    `evidence` is the e-value against the canary (rolled back when the weighted sum of all reaches
    1/alpha), `evidence_ok` the one for it in this stage (proven at 1/beta). `ratio` is canary over stable over the
    whole rollout, `interval` the anytime-valid interval for it at level 1 − alpha (None where it was not asked for; its
    upper end is infinite while there is no bound). `phi` is the dispersion in force, `acted` the rules that changed
    something at the last judged interval (docs/analysis.md has the list).
    """

    name: str
    canary_n: float
    canary_k: float
    stable_n: float
    stable_k: float
    evidence: float
    evidence_ok: float
    weight: float
    detail: str = ""
    kind: str = "ratio"
    action: str = "Rollback"
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    phi: float = 1.0
    acted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, its constant reason, a sentence for people, and whether we can measure at all."""

    outcome: Outcome
    reason: str
    message: str
    measurable: bool = True
    culprit: str | None = None
    evidence: float = 0.0
    bar: float = 100.0
    achieved_weight: float | None = None
    readings: tuple[Reading, ...] = ()
    acted: tuple[str, ...] = ()
