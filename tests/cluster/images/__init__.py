"""Building the images that the demo and the tests run, and loading or pushing them.

`load_all` is for the clusters made here; what did not change is neither built nor loaded again. `push` is for one's own
cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from ..cache import Say, cache_dir, say
from ..commands import attempt, run
from ..errors import ClusterError
from ..tools import ensure
from .builders import Buildah, Builder, Docker, any_builder
from .python import OPERATOR, SERVING, VARIANTS
from .static import PROMETHEUS, VERSITYGW

NAMES = ("operator", "serving", "prometheus", "versitygw")
_PYTHON = {image.name: image for image in (OPERATOR, SERVING, *VARIANTS)}
_STATIC = {"prometheus": PROMETHEUS, "versitygw": VERSITYGW}
# Debian's binary may not be at hand where Docker is.
_PROMETHEUS_UPSTREAM = "docker.io/prom/prometheus:v3.8.0"


class Loader(Protocol):
    """The part of a cluster that matters here."""

    @property
    def name(self) -> str:
        """The provider's name."""

    def load_image(self, archive: Path) -> None:
        """Load an archive."""


def load_all(cluster: Loader, progress: Say = say, *, only: Sequence[str] = ()) -> None:
    """Build the named images (NAMES, if none is named) where their inputs changed, and load what the cluster lacks.

    Raises ClusterError for an unknown name and for a failed build.
    """
    names = tuple(only) or NAMES
    _known(names, (*_PYTHON, *_STATIC))
    builder: Builder = Docker() if cluster.name == "kind" else Buildah(progress)
    for name in names:
        cluster.load_image(archive(name, builder, progress))


def archive(name: str, builder: Builder, progress: Say = say) -> Path:
    """Return the archive of one image, built if need be."""
    if name in _PYTHON:
        return _PYTHON[name].archive(builder, progress)
    if name == "prometheus" and isinstance(builder, Docker):
        return _pulled(PROMETHEUS.reference, builder)
    ensure((name,), progress)
    return _STATIC[name].archive()


def push(registry: str, tag: str = "dev", progress: Say = say, *, only: Sequence[str] = (), parts: Path) -> list[str]:
    """Build the named images (the operator's and the serving image, if none is named) and push them.

    They are called REGISTRY/fairlead-NAME:TAG; these names are returned. The list of parts of each is written into the
    folder `parts`. Raises ClusterError for an unknown name and for what fails.
    """
    names = tuple(only) or (OPERATOR.name, SERVING.name)
    _known(names, _PYTHON)
    builder = any_builder(progress)
    pushed = []
    for image in (_PYTHON[name] for name in names):
        remote = f"{registry.rstrip('/')}/fairlead-{image.name}:{tag}"
        image.build(builder, progress, parts)
        progress(f"pushing {remote}")
        builder.push(image.reference, remote)
        pushed.append(remote)
    return pushed


def _known(names: Iterable[str], all_names: Iterable[str]) -> None:
    there = tuple(all_names)
    if unknown := sorted(set(names) - set(there)):
        message = f"no such image: {', '.join(unknown)}; there are {', '.join(there)}"
        raise ClusterError(message)


def _pulled(reference: str, builder: Docker) -> Path:
    target = cache_dir() / "images" / "prometheus-upstream.tar"
    if not target.exists() or attempt(["docker", "image", "inspect", reference]).returncode != 0:
        target.parent.mkdir(exist_ok=True)
        run(["docker", "pull", _PROMETHEUS_UPSTREAM])
        run(["docker", "tag", _PROMETHEUS_UPSTREAM, reference])
        builder.save(reference, target)
    return target
