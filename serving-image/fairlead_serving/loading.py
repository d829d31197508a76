"""Fetching and loading the model, again and again while the storage cannot be reached."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving import golden
from fairlead_serving.dataplane import Loaded
from fairlead_serving.errors import StorageUnreachableError
from fairlead_serving.models.formats import CONVERTIBLE
from fairlead_serving.models.loader import load_choice, resolve, seconds_a_row
from fairlead_serving.storage import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fairlead_serving.settings import Settings

_log = logging.getLogger(__name__)
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0


class Load(NamedTuple):
    """A loaded model and the seconds the successful attempt took."""

    loaded: Loaded
    seconds: float


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
    artifact = fetch(settings.uri, settings.cache_dir, settings.digest, environment, settings.session)
    choice = resolve(artifact.folder, artifact.files, settings.format, allow_unsafe=settings.allow_unsafe)
    if choice.format in CONVERTIBLE and settings.convert_seconds:
        # Not for ONNX models, which should be ready at once.
        from fairlead_serving.conversion import serve as conversion  # noqa: PLC0415

        report("converting the model to ONNX")
        model = conversion.load(artifact, choice, settings.cache_dir, settings.convert_seconds)
    else:
        model = load_choice(artifact.folder, choice)
    if golden.FILE in artifact.files:
        count = golden.check(model, artifact.folder / golden.FILE)
        _log.info("golden requests answered as expected", extra={"requests": count})
    row = seconds_a_row(model)
    return Load(Loaded(model, artifact.digest, row), time.perf_counter() - began)
