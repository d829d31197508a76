"""Puts the parts of the real operator together."""

from __future__ import annotations

from fairlead.analysis.analyst import Analyst
from fairlead.analysis.prometheus import PrometheusSource
from fairlead.api.settings import ServingDefaults
from fairlead.controller.config import ControllerConfig
from fairlead.controller.reconcile import Reconciler
from fairlead.kube.client import Cluster
from fairlead.runtime.metrics import Metrics
from fairlead.runtime.settings import Settings


def reconciler(cluster: Cluster, settings: Settings, metrics: Metrics) -> Reconciler:
    """The reconciler with its judge; without a Prometheus address the judge has nothing to ask."""
    source = (
        PrometheusSource(settings.prometheus_url, timeout=settings.prometheus_timeout)
        if settings.prometheus_url
        else None
    )
    config = ControllerConfig(serving=ServingDefaults(settings.serving_image, settings.serving_pull_policy))
    return Reconciler(cluster, Analyst(source), config, metrics)
