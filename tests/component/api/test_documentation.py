"""What docs/metrics.md shows is accepted by the API server, makes a plan, and can be rendered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fairlead.analysis import asking, queries
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.rolloutspec import RolloutSpec
from fairlead.rollout.planning import plan_of
from tests.component.api.objects import with_analysis

if TYPE_CHECKING:
    from tests.cluster.control_plane import ControlPlane

TEXT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


def test_every_example_works(plane: ControlPlane) -> None:
    templates = [example for example in EXAMPLES if example.get("kind") == "MetricTemplate"]
    shared = {item["metadata"]["name"]: MetricTemplateSpec.model_validate(item["spec"]) for item in templates}
    for template in templates:
        plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(template))
    metrics = [example["metrics"] for example in EXAMPLES if "metrics" in example]
    assert len(templates) + len(metrics) == len(EXAMPLES) == 4
    known = queries.variables("shop", "fraud", ("abc", "2"), ("def", "1"))
    for listed in metrics:
        plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(with_analysis(metrics=listed)))
        rollout = RolloutSpec.model_validate({"analysis": {"metrics": listed}})
        asking.check(plan_of(rollout, 20, shared).analysis, known)
