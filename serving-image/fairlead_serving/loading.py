"""Fetching and loading the model, again and again while the storage cannot be reached."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving import cachefolder, golden
from fairlead_serving.dataplane import Loaded
from fairlead_serving.errors import StorageUnreachableError
from fairlead_serving.fallback.declared import divide, load_spare
from fairlead_serving.models.formats import CONVERTIBLE
from fairlead_serving.models.loader import load_choice, resolve, seconds_a_row
from fairlead_serving.storage import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fairlead_serving.fallback.declared import Spare
    from fairlead_serving.models.base import Model
    from fairlead_serving.settings import Settings
    from fairlead_serving.storage import Artifact

_log = logging.getLogger(__name__)
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0


class Load(NamedTuple):
    """A loaded model, the seconds the successful attempt took, and the model's fallback, if it has one."""

    loaded: Loaded
    seconds: float
    spare: Spare | None


def load(
    settings: Settings,
    environment: Mapping[str, str],
    report: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> Load:
    """Load the model that the settings name; blocks, so call it in a thread.

    `report` is told what is going on, for the status. Raises LoadError for what a retry cannot mend.
    """
    report(f"loading from {settings.uri}")
    for attempt, delay in enumerate(delays(), 1):
        try:
            return _once(settings, environment, report)
        except StorageUnreachableError as error:
            message = f"storage unreachable, attempt {attempt}, next try in {delay:.0f} s: {error}"
            _log.warning(message)
            report(message)
            wait(delay)
            # An attempt may take as long as a connection takes to fail; meanwhile the reason of the last one stands.
            report(f"storage unreachable, attempt {attempt + 1} under way; the last one: {error}")
    raise AssertionError


def delays() -> Iterator[float]:
    """Yield seconds to wait between attempts, for ever: doubling up to a minute, each give or take a quarter."""
    ceiling = _FIRST_DELAY
    while True:
        yield ceiling * random.uniform(0.75, 1.25)  # noqa: S311  not for secrets
        ceiling = min(2 * ceiling, _LONGEST_DELAY)


def _once(settings: Settings, environment: Mapping[str, str], report: Callable[[str], None]) -> Load:
    began = time.perf_counter()
    cachefolder.lend(settings.cache_dir)
    artifact = fetch(settings.uri, settings.cache_dir, settings.digest, environment, settings.session)
    if settings.trust is not None:
        from fairlead_serving.signatures import verify  # noqa: PLC0415  only where it is asked for

        report("verifying the signature")
        verify(artifact.folder, settings.trust, settings.uri)
        _log.info("the signature holds", extra={"signature": settings.trust.file})
    own, other = divide(artifact)
    model = _model(own, settings, settings.format, report)
    row = seconds_a_row(model)
    spare = None
    if other is not None:
        # Whoever names a program as the model has let programs in.
        named = "python" if settings.format == "python" and "model.py" in other.files else None
        spare = load_spare(other, model, lambda part: _model(part, settings, named, report))
    return Load(Loaded(model, artifact.digest, row), time.perf_counter() - began, spare)


def _model(artifact: Artifact, settings: Settings, wanted: str | None, report: Callable[[str], None]) -> Model:
    """Load what is in a folder, and hold it against its golden requests."""
    choice = resolve(artifact.folder, artifact.files, wanted, allow_unsafe=settings.allow_unsafe)
    optimised = settings.optimise is not None and choice.format == "onnx"
    if settings.convert_seconds and (choice.format in CONVERTIBLE or optimised):
        # Not for ONNX models that serve as they are, which should be ready at once.
        from fairlead_serving.conversion import serve as conversion  # noqa: PLC0415

        report("optimising the model" if optimised else "converting the model to ONNX")
        model = conversion.load(artifact, choice, settings.cache_dir, settings.convert_seconds, settings.optimise)
    else:
        model = load_choice(artifact.folder, choice)
    if golden.FILE in artifact.files:
        count = golden.check(model, artifact.folder / golden.FILE)
        _log.info("golden requests answered as expected", extra={"requests": count})
    return model
