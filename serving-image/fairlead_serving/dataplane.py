"""The core between transports and the model: identity, state, metadata, inference. It knows no bytes, no sockets."""

from __future__ import annotations

import enum
import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fairlead_serving import __version__
from fairlead_serving.errors import InvalidRequestError, ModelFailureError, NotReadyError, RequestError, readable
from fairlead_serving.models.base import Model
from fairlead_serving.rows import Forms, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor, TensorSpec

_log = logging.getLogger(__name__)
_REPEAT_SECONDS: Final = 10.0
_MAX_KNOWN_FAILURES: Final = 100


class State(enum.Enum):
    """Where the server is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Identity(NamedTuple):
    """What is being served: the name and version of URLs and metrics, and the operator's revision."""

    model: str
    version: str
    revision: str


class Loaded(NamedTuple):
    """A model in service. `seconds_a_row` is None where it could not be measured."""

    model: Model
    digest: str
    seconds_a_row: float | None


class Dataplane:
    """Answers requests about one model."""

    def __init__(self, identity: Identity) -> None:
        """Start without a model, in the state LOADING."""
        self.identity = identity
        self.state = State.LOADING
        self.message = "loading"
        self._loaded: Loaded | None = None
        self._names: tuple[str, ...] = ()
        self._failures = _Failures()
        # What the model has taken before, for requests that need not be looked at as closely.
        self.forms = Forms()
        # Whether checking a request runs a user's own code, which does not belong on the event loop.
        self.slow_to_bind = False
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether new traffic should come here."""
        return self.state is State.READY

    @property
    def loaded(self) -> Loaded | None:
        """The model in service, if any."""
        return self._loaded

    @property
    def first_output(self) -> str:
        """The name of the model's first output, what it predicts; empty where that is not known."""
        return self._names[0] if self._names else ""

    def serve(self, loaded: Loaded) -> None:
        """Put a loaded model into service."""
        self._loaded = loaded
        self.forms.clear()
        self.slow_to_bind = loaded.model.format == "python"
        self._names = tuple(spec.name for spec in loaded.model.outputs)
        if self.state is State.LOADING:
            self.state = State.READY
            self.message = ""

    def drain(self) -> None:
        """Turn new traffic away by failing readiness; requests are still answered."""
        self.state = State.DRAINING
        self.draining = True
        self.message = "draining"

    def status(self) -> dict[str, str | None]:
        """Return what the operator reads of a pod."""
        return {
            "model": self.identity.model,
            "version": self.identity.version,
            "revision": self.identity.revision,
            "state": self.state.value,
            "message": self.message,
            "digest": self._loaded.digest if self._loaded else None,
        }

    def server_metadata(self) -> dict[str, object]:
        """Return V2 server metadata."""
        return {"name": "fairlead-serving", "version": __version__, "extensions": ["binary_tensor_data"]}

    def model_metadata(self) -> dict[str, object]:
        """Return V2 model metadata. Raises NotReadyError before the model is loaded."""
        model = self._require().model
        return {
            "name": self.identity.model,
            "versions": [self.identity.version],
            "platform": model.platform,
            "inputs": _described(model.inputs),
            "outputs": _described(model.outputs),
            "parameters": dict(model.parameters),
        }

    def bind(self, request: InferRequest) -> tuple[Any, tuple[str, ...]]:
        """Return a request as the model takes it, and the names of the outputs it asks for. Safe in another thread.

        Raises InvalidRequestError for what the client got wrong and NotReadyError without a model.
        """
        if request.rows is not None:
            return request.rows, self._names
        model = self._require().model
        feed, wanted = model.bind(request.inputs), self._wanted(request.outputs)
        if model.binds_by_form and len(request.inputs) == 1 and request.outputs is None:
            self.forms.learn(request.inputs[0], wanted)
        return feed, wanted

    def run(self, feed: Any, wanted: Sequence[str]) -> list[Tensor]:
        """Run the model on what `bind` returned. Safe to call from another thread.

        Raises ModelFailureError when the model raises on a request that its signature allows.
        """
        model = self._require().model
        try:
            if type(feed) is Rows:
                feed = model.bind([feed.tensor()])
            return model.run(feed, wanted)
        except RequestError:
            raise
        except Exception as error:
            self._failures.log(error)
            message = f"the model failed: {type(error).__name__}: {_first_line(error)}"
            raise ModelFailureError(message) from error

    def failed(self, error: Exception) -> None:
        """Log a failure that is nobody's request's fault."""
        self._failures.log(error)

    def _require(self) -> Loaded:
        if self._loaded is None:
            message = f"model {self.identity.model} is not ready: {self.message}"
            raise NotReadyError(message)
        return self._loaded

    def _wanted(self, outputs: tuple[str, ...] | None) -> tuple[str, ...]:
        if outputs is None:
            return self._names
        for position, name in enumerate(outputs):
            if name not in self._names:
                problem = f"{readable(name)} is not an output of the model ({', '.join(self._names)})"
                raise InvalidRequestError(at=f"outputs[{position}].name", problem=problem)
        return outputs


class _Failures:
    """Logs a model's failures: each kind with its traceback once, repetitions now and then in one line."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], float] = {}

    def log(self, error: Exception) -> None:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        kind = (type(error).__name__, trace.tb_lineno if trace else 0)
        now = time.monotonic()
        last = self._known.get(kind)
        if last is None and len(self._known) < _MAX_KNOWN_FAILURES:
            self._known[kind] = now
            _log.error("the model failed: %s", _first_line(error), exc_info=error)
        elif last is None or now - last > _REPEAT_SECONDS:
            self._known[kind] = now
            _log.error("the model failed again: %s", _first_line(error))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")


def _described(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]
