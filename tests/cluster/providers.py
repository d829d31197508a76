"""Choosing one of the three ways to a cluster, and saying why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .cache import Say, say
from .errors import ClusterError
from .existing import Existing
from .kind import Kind
from .native import Native

PROVIDERS = ("auto", "native", "kind", "existing")
VARIABLE = "FAIRLEAD_CLUSTER"


class Cluster(Protocol):
    """What demo, tests and CI may ask of a cluster, whichever it is."""

    @property
    def name(self) -> str:
        """The provider's name."""

    @property
    def context(self) -> str:
        """The kubeconfig context."""

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log of writes, where this provider has it at hand."""

    def up(self) -> None:
        """Make the cluster ready to use; nothing happens when it is."""

    def down(self) -> None:
        """Remove the cluster, if it was made by `up`."""

    def load_image(self, archive: Path) -> None:
        """Make an OCI image archive's image available to pods."""

    def kubeconfig(self) -> Path:
        """Return a kubeconfig file whose current context is this cluster."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A cluster and the reason it was chosen, in words."""

    cluster: Cluster
    reason: str


def choose(provider: str | None = None, context: str | None = None, progress: Say = say) -> Choice:
    """Choose a cluster: the provider named here, else by $FAIRLEAD_CLUSTER, else (auto) kind before native.

    An existing cluster is never chosen unless it is asked for by its context. Raises ClusterError saying what is
    missing when the wanted way, or every way, is closed.
    """
    wanted, why = _wanted(provider)
    if wanted not in PROVIDERS:
        message = f"there is no cluster provider {wanted!r}; there are: {', '.join(PROVIDERS)}"
        raise ClusterError(message)
    if context and wanted != "existing":
        message = "--context goes with --provider existing only"
        raise ClusterError(message)
    if wanted == "existing":
        return Choice(Existing(context, progress), f"{why}, context {context}")
    if wanted == "auto":
        return _first_open(progress)
    way: type[Kind | Native] = Kind if wanted == "kind" else Native
    if lack := way.missing():
        raise ClusterError(lack)
    return Choice(way(progress), why)


def _wanted(provider: str | None) -> tuple[str, str]:
    if provider and provider != "auto":
        return provider, "it was asked for"
    if named := os.environ.get(VARIABLE):
        return named, f"${VARIABLE} says so"
    return "auto", ""


def _first_open(progress: Say) -> Choice:
    no_kind = Kind.missing()
    if no_kind is None:
        return Choice(Kind(progress), "a Docker engine answers and kind is installed")
    no_native = Native.missing()
    if no_native is None:
        return Choice(Native(progress), f"this is a Debian machine and you are root ({no_kind})")
    own = "your own one is used if you name it: --provider existing --context NAME"
    message = f"no cluster can be had here: {no_kind}; {no_native}; {own}"
    raise ClusterError(message)
