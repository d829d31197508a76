"""Whose signature a model must have."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.base import Name, Schema, rule


def _exactly_one(*fields: str) -> JsonDict:
    held = ", ".join(f"has(self.{field})" for field in fields)
    return {
        "x-kubernetes-validations": [
            rule(
                f"[{held}].filter(given, given).size() == 1",
                f"write exactly one of {', '.join(fields[:-1])} and {fields[-1]}",
            )
        ]
    }


class KeyReference(Schema):
    """A key of a ConfigMap or Secret of the same namespace."""

    name: Annotated[Name, Field(description="Name of the ConfigMap or Secret.")]
    key: Annotated[Name, Field(description="Key in it.")]


class Pem(Schema):
    """Text in PEM form, here or elsewhere."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("inline", "configMapKeyRef", "secretKeyRef"))

    inline: Annotated[
        str | None,
        Field(
            max_length=16384,
            description="The text itself.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("self.startsWith('-----BEGIN ')", "not PEM: it begins with -----BEGIN and what it is")
                ]
            },
        ),
    ] = None
    config_map_key_ref: Annotated[KeyReference | None, Field(description="Where a ConfigMap holds it.")] = None
    secret_key_ref: Annotated[KeyReference | None, Field(description="Where a Secret holds it.")] = None


class Sigstore(Schema):
    """Somebody who signs with sigstore, without a key of their own."""

    identity: Annotated[
        Name, Field(description="Who must have signed: an e-mail address, or the URL of a workflow or service account.")
    ]
    identity_provider: Annotated[
        str,
        Field(
            max_length=512,
            description="Who vouches for the identity, as https://accounts.google.com.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule("self.startsWith('https://')", "identityProvider must be a URL that begins with https://")
                ]
            },
        ),
    ]


class Signature(Schema):
    """A signature made by the OpenSSF's model-signing over all files of the model."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("publicKey", "caBundle", "sigstore"))

    file: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=253,
            description="The signature's file in the model's folder; model.sig when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
                        "file must be a path inside the model's folder",
                    )
                ]
            },
        ),
    ] = None
    public_key: Annotated[
        Pem | None, Field(description="Public key, on an elliptic curve, of the one who must have signed.")
    ] = None
    ca_bundle: Annotated[
        Pem | None, Field(description="Certificates of the CAs of which one must vouch for the signer's.")
    ] = None
    sigstore: Annotated[
        Sigstore | None, Field(description="Who must have signed with sigstore; the pods then ask it over the network.")
    ] = None
