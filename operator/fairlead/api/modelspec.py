"""The `model` of a ModelDeployment: where its files are, how to get them and which version they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fairlead.api.base import Name, Schema, rule
from fairlead.api.signature import Signature


class ModelFormat(Schema):
    """How the model's files are to be read."""

    name: Annotated[
        Literal["sklearn", "onnx", "xgboost", "lightgbm", "mlflow", "litert", "pytorch", "python"],
        Field(
            description="sklearn (a model saved with skops), onnx, xgboost, lightgbm, mlflow (a folder with an "
            "MLmodel), litert and pytorch (in image variants of their own) or python (a program of your own, model.py)."
        ),
    ]


class SecretReference(Schema):
    """A Secret of the same namespace."""

    name: Annotated[Name, Field(description="Name of the Secret.")]


class ImageVolume(Schema):
    """A volume with the files of an OCI image."""

    path: Annotated[
        str | None,
        Field(
            max_length=512,
            description="Folder or file of the model in the image; all of the image when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("!self.split('/').exists(part, part == '..')", "path must not lead out of the image by '..'")
                ]
            },
        ),
    ] = None


class Storage(Schema):
    """Where the object storage is and who we are there."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "!has(self.imageVolume) || !has(self.secretRef)",
                    "an image volume is pulled by the node, with the Secrets in server.imagePullSecrets; "
                    "leave out secretRef",
                    ".secretRef",
                ),
            ]
        }
    )

    secret_ref: Annotated[
        SecretReference | None,
        Field(
            description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if needed), "
            "or the variables of another storage, such as HF_TOKEN; for oci:// one of the type "
            "kubernetes.io/dockerconfigjson. Without it the pod's service account speaks for itself."
        ),
    ] = None
    endpoint: Annotated[
        str | None,
        Field(
            max_length=512,
            description="URL of an S3-compatible endpoint; AWS itself when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.matches('^https?://[^/ ]+')",
                        "endpoint must be a URL that begins with http:// or https:// and names a host",
                    )
                ]
            },
        ),
    ] = None
    region: Annotated[str | None, Field(max_length=64, description="Region; us-east-1 when left out.")] = None
    image_volume: Annotated[
        ImageVolume | None,
        Field(
            description="Let the node pull the image of an oci:// storageUri and mount it, where the server would pull "
            "it otherwise. Kubernetes has image volumes switched on from 1.35, and by a feature gate from 1.33."
        ),
    ] = None


class ModelSpec(Schema):
    """The model: where its files are and which version they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "!has(self.storage) || !has(self.storage.imageVolume) || self.storageUri.startsWith('oci://')",
                    "an image volume holds an OCI image, so storageUri must be oci://registry/repository:tag",
                    ".storageUri",
                ),
            ]
        }
    )

    model_format: Annotated[
        ModelFormat | None,
        Field(description="Format of the files; told from the file names when left out."),
    ] = None
    storage_uri: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description="Folder or file of the model: s3://bucket/path, gs://bucket/path, az://container/path, "
            "https://host/file, hf://owner/name, oci://registry/repository:tag, pvc://claim/path, or file:///path "
            "inside the serving image.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.matches('^((s3|gs|az|https|hf)://[^/ ]+/?|oci://[^/ ]+/[^/ ]|"
                        "pvc://[a-z0-9][a-z0-9.-]*(/|$)|file:///)')",
                        "storageUri must be s3://bucket/path, gs://bucket/path, az://container/path, "
                        "https://host/file, hf://owner/name, oci://registry/repository:tag, pvc://claim/path or "
                        "file:///path",
                    )
                ]
            },
        ),
    ]
    version: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=63,
            description="Version for people, metrics and /versions/{v} paths; the revision when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')",
                        "version may hold letters, digits, '.', '_' and '-', and starts and ends with a letter "
                        "or digit",
                    )
                ]
            },
        ),
    ] = None
    digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="sha256:… of the model's files (`fairlead-serve digest` prints it); other bytes are refused.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("self.matches('^sha256:[0-9a-f]{64}$')", "digest must be sha256: and 64 hexadecimal digits")
                ]
            },
        ),
    ] = None
    allow_unsafe: Annotated[
        bool | None,
        Field(description="Read pickle and joblib files, which can run any code; they are refused when left out."),
    ] = None
    signature: Annotated[
        Signature | None,
        Field(description="Whose signature the files must have; models without it are not loaded."),
    ] = None
    storage: Annotated[Storage | None, Field(description="Endpoint and credentials of the object storage.")] = None
