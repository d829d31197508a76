"""Health and metadata, and what tritonclient has beyond the protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tritonclient.utils import InferenceServerException

from tests.conformance.clients import ALL, FAULT, GRPC, HTTP, Client, clients, each, refused
from tests.conformance.registry import expect, fail, version_of
from tests.conformance.samples import OTHER
from tests.conformance.target import Target

# What a server answers that does not have an operation.
_ABSENT: Final = (*FAULT, "405", "StatusCode.UNIMPLEMENTED")
_NOT_NOW: Final = ("503", "StatusCode.UNAVAILABLE")


@clients("server live")
def live(client: Client, _: Target) -> None:
    expect("live", client.call("is_server_live"), wanted=True)


@clients("server ready")
def ready(client: Client, _: Target) -> None:
    expect("ready", client.call("is_server_ready"), wanted=True)


@clients("model ready")
def model_ready(client: Client, target: Target) -> None:
    expect("ready", client.call("is_model_ready", target.table.model), wanted=True)


@clients("model ready, with its version")
def version_ready(client: Client, target: Target) -> None:
    expect("ready", client.call("is_model_ready", target.table.model, version_of(target)), wanted=True)


@clients("another model is not ready")
def other_model_not_ready(client: Client, _: Target) -> None:
    _not_ready(lambda: client.call("is_model_ready", OTHER))


@clients("another version is not ready")
def other_version_not_ready(client: Client, target: Target) -> None:
    version_of(target)
    _not_ready(lambda: client.call("is_model_ready", target.table.model, "999"))


def _not_ready(ask: Callable[[], Any]) -> None:
    try:
        expect("ready", ask(), wanted=False)
    except InferenceServerException as error:
        if error.status() not in FAULT:
            fail(f"expected false or a refusal, got {error.status()}: {error.message()}")


@clients("server metadata")
def server_metadata(client: Client, _: Target) -> None:
    found = client.metadata("get_server_metadata")
    for field in ("name", "version"):
        if not isinstance(found.get(field), str) or not found[field]:
            fail(f"{field} is missing: {found}")
    if client.http and "binary_tensor_data" not in found.get("extensions", ()):
        fail(f"binary_tensor_data is not among the extensions: {found}")


@clients("model metadata")
def model_metadata(client: Client, target: Target) -> None:
    _describes(client.metadata("get_model_metadata", target.table.model), target)


@clients("model metadata, with its version")
def version_metadata(client: Client, target: Target) -> None:
    _describes(client.metadata("get_model_metadata", target.table.model, version_of(target)), target)


@clients("metadata of another model is refused")
def other_metadata(client: Client, _: Target) -> None:
    refused(lambda: client.metadata("get_model_metadata", OTHER))


@clients("metadata of another version is refused")
def other_version_metadata(client: Client, target: Target) -> None:
    version_of(target)
    refused(lambda: client.metadata("get_model_metadata", target.table.model, "999"))


def _describes(found: Mapping[str, Any], target: Target) -> None:
    expect("name", found["name"], target.table.model)
    if target.table.version and target.table.version not in found.get("versions", ()):
        fail(f"versions: {target.table.version} is not in {found.get('versions')}")
    if not found.get("platform"):
        fail("platform is missing")
    expect(
        "inputs", [(item["name"], item["datatype"], item["shape"]) for item in found.get("inputs", ())], _inputs(target)
    )
    expect("outputs", [item["name"] for item in found.get("outputs", ())], list(target.outputs))


def _inputs(target: Target) -> list[tuple[str, str, list[int]]]:
    return [(target.input, "FP32", [-1, 4])]


@clients("operations beyond the protocol work or are refused as absent", ALL)
def beyond(client: Client, target: Target) -> None:
    model = target.table.model
    calls: dict[str, tuple[Any, ...]] = {
        "get_model_config": (model,),
        "get_model_repository_index": (),
        "get_inference_statistics": (model,),
        "get_trace_settings": (),
        "get_log_settings": (),
        "get_system_shared_memory_status": (),
        "get_cuda_shared_memory_status": (),
        "update_log_settings": ({"log_info": True},),
        "load_model": (OTHER,),
        "unload_model": (OTHER,),
    }
    each({name: _works_or_absent(client, name, arguments) for name, arguments in calls.items()})
    expect("live afterwards", client.call("is_server_live"), wanted=True)


def _works_or_absent(client: Client, name: str, arguments: tuple[Any, ...]) -> Callable[[], None]:
    def ask() -> None:
        try:
            client.call(name, *arguments)
        except InferenceServerException as error:
            if error.status() not in _ABSENT and not (error.status() in _NOT_NOW and "load_model" in name):
                fail(f"{error.status()}: {error.message()}")

    return ask


@clients("a connection is used again after a refusal", HTTP + GRPC)
def goes_on(client: Client, target: Target) -> None:
    for _ in range(3):
        refused(lambda: client.metadata("get_model_metadata", OTHER))
        model_ready(client, target)
