"""The objects of these tests, as a user would write them."""

from __future__ import annotations

from typing import Any

MODEL = {"storageUri": "s3://models/fraud/7"}
Object = dict[str, Any]


def model_deployment(name: str = "fraud", **spec: Any) -> Object:
    """A ModelDeployment with nothing but its model and what is given."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": MODEL} | spec,
    }


def with_model(**fields: Any) -> Object:
    """A ModelDeployment whose model has further fields."""
    return model_deployment(model=MODEL | fields)


def with_steps(*steps: object) -> Object:
    """A ModelDeployment with these steps."""
    return model_deployment(rollout={"canary": {"steps": list(steps)}})


def with_analysis(**analysis: Any) -> Object:
    """A ModelDeployment judged like this."""
    return model_deployment(rollout={"analysis": analysis})


def weight(percent: int) -> Object:
    """A setWeight step."""
    return {"setWeight": percent}


def with_metric(name: str = "mine", **fields: Any) -> Object:
    """A ModelDeployment judged by one metric."""
    return with_analysis(metrics=[{"name": name, **fields}])


def metric_template(**spec: Any) -> Object:
    """A MetricTemplate."""
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "MetricTemplate",
        "metadata": {"name": "cost"},
        "spec": spec,
    }
