"""Puts the parts of the real operator together."""

from __future__ import annotations

from fairlead.analysis.access import Access
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
    source = _prometheus(settings) if settings.prometheus_url else None
    config = ControllerConfig(serving=ServingDefaults(settings.serving_image, settings.serving_pull_policy))
    return Reconciler(cluster, Analyst(source), config, metrics)


def _prometheus(settings: Settings) -> PrometheusSource:
    access = Access(
        token_file=settings.prometheus_token_file,
        user_file=settings.prometheus_username_file,
        password_file=settings.prometheus_password_file,
        ca_file=settings.prometheus_ca_file,
        certificate_file=settings.prometheus_certificate_file,
        key_file=settings.prometheus_key_file,
        insecure=settings.prometheus_insecure_skip_verify,
        headers=settings.prometheus_headers,
        headers_folder=settings.prometheus_headers_dir,
    )
    return PrometheusSource(settings.prometheus_url, access=access, timeout=settings.prometheus_timeout)
