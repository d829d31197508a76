"""Where a pod finds its model: what is mounted, and what the server is told of storage and signature."""

from __future__ import annotations

from fairlead.api.modelspec import ModelSpec
from fairlead.api.signature import Pem
from fairlead.desired.names import Manifest

# Where a volume with the model is mounted, and the Secret for its registry.
VOLUME = "/mnt/model"
REGISTRY = "/var/run/fairlead/registry"
_CLAIM = "pvc://"
_IMAGE = "oci://"
_SIGNATURE = "model.sig"


def volumes(model: ModelSpec) -> list[Manifest]:
    """What the model lies in or is fetched with: a claim or an image, which many pods read and none writes."""
    storage = model.storage
    if model.storage_uri.startswith(_CLAIM):
        claim = model.storage_uri.removeprefix(_CLAIM).partition("/")[0]
        return [{"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]
    if storage and storage.image_volume:
        return [{"name": "model", "image": {"reference": model.storage_uri.removeprefix(_IMAGE)}}]
    if storage and storage.secret_ref and model.storage_uri.startswith(_IMAGE):
        # Optional, because the server can say what the registry refuses; a pod that cannot be mounted says little.
        key = {"key": ".dockerconfigjson", "path": "config.json"}
        secret = {"secretName": storage.secret_ref.name, "optional": True, "items": [key]}
        return [{"name": "registry", "secret": secret}]
    return []


def mounts(model: ModelSpec) -> list[Manifest]:
    """Where these volumes are in the container."""
    places = {"model": VOLUME, "registry": REGISTRY}
    return [
        {"name": volume["name"], "mountPath": places[volume["name"]], "readOnly": True} for volume in volumes(model)
    ]


def variables_from(model: ModelSpec) -> list[Manifest]:
    """The Secret whose keys are the storage's variables; that of a registry is a file."""
    storage = model.storage
    if not storage or not storage.secret_ref or model.storage_uri.startswith(_IMAGE):
        return []
    return [{"secretRef": {"name": storage.secret_ref.name}}]


def environment(model: ModelSpec) -> list[Manifest]:
    """What the server is told of the model."""
    storage = model.storage
    credentials = any(volume["name"] == "registry" for volume in volumes(model))
    values = {
        "FAIRLEAD_STORAGE_URI": _storage_uri(model),
        "FAIRLEAD_MODEL_FORMAT": model.model_format.name if model.model_format else None,
        "FAIRLEAD_ALLOW_UNSAFE": "true" if model.allow_unsafe else None,
        "AWS_ENDPOINT_URL": storage.endpoint if storage else None,
        "AWS_REGION": storage.region if storage else None,
        "DOCKER_CONFIG": REGISTRY if credentials else None,
    }
    return [{"name": key, "value": value} for key, value in values.items() if value] + _signature(model)


def _storage_uri(model: ModelSpec) -> str:
    """Where the server finds the model: of a volume it knows only the place it is mounted at."""
    storage = model.storage
    if model.storage_uri.startswith(_CLAIM):
        path = model.storage_uri.removeprefix(_CLAIM).partition("/")[2]
    elif storage and storage.image_volume:
        path = storage.image_volume.path or ""
    else:
        return model.storage_uri
    return f"{VOLUME}/{path.strip('/')}".rstrip("/")


def _signature(model: ModelSpec) -> list[Manifest]:
    """What to verify and with what. The file is always named, so that an empty key cannot switch this off."""
    signature = model.signature
    if not signature:
        return []
    told: list[Manifest] = [{"name": "FAIRLEAD_SIGNATURE", "value": signature.file or _SIGNATURE}]
    if signature.public_key:
        told.append({"name": "FAIRLEAD_VERIFY_KEY", **_pem(signature.public_key)})
    if signature.ca_bundle:
        told.append({"name": "FAIRLEAD_VERIFY_CERTIFICATE", **_pem(signature.ca_bundle)})
    if signature.sigstore:
        told.append({"name": "FAIRLEAD_VERIFY_IDENTITY", "value": signature.sigstore.identity})
        told.append({"name": "FAIRLEAD_VERIFY_IDENTITY_PROVIDER", "value": signature.sigstore.identity_provider})
        # It keeps its trust root, and the only folder of the container for such things is this one.
        told += [{"name": name, "value": "/tmp"} for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")]  # noqa: S108
    return told


def _pem(pem: Pem) -> Manifest:
    if pem.config_map_key_ref:
        return {"valueFrom": {"configMapKeyRef": pem.config_map_key_ref.to_wire()}}
    if pem.secret_key_ref:
        return {"valueFrom": {"secretKeyRef": pem.secret_key_ref.to_wire()}}
    return {"value": pem.inline or ""}
