"""grpc.health.v1.Health: what kubelet's gRPC probes and load balancers ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import NotFoundError, readable
from fairlead_serving.grpc import wire

if TYPE_CHECKING:
    from fairlead_serving.dataplane import Dataplane

CHECK: Final = b"/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
_LIVENESS: Final = "liveness"
_READINESS: Final = ("", "readiness", "inference.GRPCInferenceService")


def check(dataplane: Dataplane, message: bytes) -> bytes:
    """Answer HealthCheckRequest: for `liveness` the process, else whether requests should come here.

    Raises NotFoundError for a service that is not here, InvalidRequestError for what is no message.
    """
    service = ""
    for field in wire.fields(message, 0, len(message)):
        if field[0] == 1:
            service = wire.text(message, field, "service")
    if service == _LIVENESS:
        return _SERVING
    if service not in (*_READINESS, dataplane.identity.model):
        problem = f"unknown service {readable(service)}"
        raise NotFoundError(problem)
    return _SERVING if dataplane.ready else _NOT_SERVING
