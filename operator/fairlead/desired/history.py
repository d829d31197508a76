"""The immutable snapshot of a revision and the record of a rollout."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fairlead.api.base import API_VERSION
from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.modelrollout import ModelRolloutSpec
from fairlead.desired.names import REVISION, ROLE, VERDICT, Manifest, metadata, of_revision


def snapshot(owner: Manifest, spec: ModelDeploymentSpec, revision: str, template: Manifest, number: int) -> Manifest:
    """A new ControllerRevision: the hashed fields and the rendered pod template with its image."""
    name = owner["metadata"]["name"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(owner, of_revision(name, revision), revision),
        "revision": number,
        "data": {
            "model": spec.model.to_wire(),
            "server": spec.server.to_wire(),
            "version": spec.model.version or revision,
            "template": template,
        },
    }


def remembering(snapshot: Manifest, *, stable: bool, rejection: Mapping[str, object] | None) -> Manifest:
    """The snapshot with its role and, if so, why it was rejected, as annotations.

    They make a resource whose status is lost remember what serves and what must not.
    """
    meta = snapshot["metadata"]
    notes = {ROLE: "stable"} if stable else {}
    if rejection:
        notes[VERDICT] = json.dumps(rejection, sort_keys=True)
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "ownerReferences")}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**kept, "annotations": notes},
        "revision": snapshot["revision"],
        "data": snapshot["data"],
    }


def rollout_record(owner: Manifest, name: str, spec: ModelRolloutSpec) -> Manifest:
    """A new ModelRollout, without status."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRollout",
        "metadata": metadata(owner, name, spec.revision),
        "spec": spec.to_record(),
    }


def revision_label(manifest: Manifest) -> str:
    """The revision that a child belongs to; '' when to none."""
    return str(manifest["metadata"].get("labels", {}).get(REVISION, ""))
