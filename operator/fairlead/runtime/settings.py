"""What an installation decides, read from environment variables with the prefix FAIRLEAD_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fairlead.kube.leader import LeaseSettings

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """All settings of `fairlead run`. Each field is the variable FAIRLEAD_<NAME>, unless it says otherwise."""

    model_config = SettingsConfigDict(env_prefix="FAIRLEAD_", frozen=True, extra="ignore", populate_by_name=True)

    namespace: Annotated[
        str,
        Field(
            validation_alias=AliasChoices("FAIRLEAD_NAMESPACE", "POD_NAMESPACE"),
            description="The operator's own namespace, where its Lease is. In a pod POD_NAMESPACE by the downward API.",
        ),
    ] = "default"
    pod_name: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("FAIRLEAD_POD_NAME", "POD_NAME"),
            description="Name of the pod, by the downward API: a restarted container takes its own Lease back at once.",
        ),
    ] = None
    kubeconfig: Annotated[
        str | None, Field(description="Kubeconfig file to use; without one the pod's service account is used.")
    ] = None
    context: Annotated[str | None, Field(description="Context of that kubeconfig, if not its current one.")] = None
    watch_namespaces: Annotated[
        tuple[str, ...], NoDecode, Field(description="Namespaces to watch, separated by commas. Empty: all.")
    ] = ()
    serving_image: Annotated[str, Field(description="Image of model servers that name no other.")] = (
        "fairlead.local/serving:dev"
    )
    serving_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"], Field(description="How that image is pulled.")
    ] = "IfNotPresent"
    prometheus_url: Annotated[
        str, Field(description="Prometheus that scrapes the model servers. Empty: none, rollouts wait and say so.")
    ] = ""
    prometheus_timeout: Annotated[Seconds, Field(description="Longest time for one query.")] = 5.0
    prometheus_token_file: Annotated[
        Path | None, Field(description="File with a bearer token for it, read for every query; it may change.")
    ] = None
    prometheus_username_file: Annotated[
        Path | None, Field(description="File with the user of basic authentication, read for every query.")
    ] = None
    prometheus_password_file: Annotated[Path | None, Field(description="File with the user's password, likewise.")] = (
        None
    )
    prometheus_ca_file: Annotated[
        Path | None, Field(description="Certificates of the authorities it is trusted by; the system's without it.")
    ] = None
    prometheus_certificate_file: Annotated[
        Path | None, Field(description="Client certificate, with the key in FAIRLEAD_PROMETHEUS_KEY_FILE.")
    ] = None
    prometheus_key_file: Annotated[Path | None, Field(description="Key of the client certificate.")] = None
    prometheus_insecure_skip_verify: Annotated[
        bool, Field(description="Trust any certificate: whoever is in between can then decide about rollouts.")
    ] = False
    prometheus_headers: Annotated[
        dict[str, str], Field(description="Further headers of every query, as a JSON object.")
    ] = {}
    prometheus_headers_dir: Annotated[
        Path | None, Field(description="Folder with a file for each further header that is secret.")
    ] = None
    request_timeout: Annotated[Seconds, Field(description="Longest time for one request to the API server.")] = 10.0
    workers: Annotated[int, Field(ge=1, le=256, description="ModelDeployments worked on at the same time.")] = 8
    reconcile_timeout: Annotated[Seconds, Field(description="Longest time for one pass over a ModelDeployment.")] = 60.0
    shutdown_grace: Annotated[Seconds, Field(description="Time that passes in progress are given at the end.")] = 10.0
    watch_check_interval: Annotated[
        Seconds, Field(description="Time between two comparisons of the watches with plain lists.")
    ] = 60.0
    lease_name: Annotated[str, Field(description="Name of the Lease that makes one operator the leader.")] = (
        "fairlead-operator"
    )
    lease_duration: Annotated[Seconds, Field(description="When another may take over a Lease not renewed.")] = 15.0
    lease_renew_deadline: Annotated[Seconds, Field(description="When a leader that cannot renew gives up.")] = 10.0
    lease_retry: Annotated[Seconds, Field(description="Time between two tries to get or renew the Lease.")] = 2.0
    http_host: Annotated[str, Field(description="Address that health and metrics are served at. Empty: all.")] = ""
    http_port: Annotated[int, Field(ge=0, le=65535, description="Their port; 0 takes a free one.")] = 8080
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Least level logged.")] = (
        "info"
    )
    log_format: Annotated[Literal["json", "console"], Field(description="For machines or for people.")] = "json"

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _by_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))
        return value

    @field_validator(
        "kubeconfig",
        "context",
        "pod_name",
        *(f"prometheus_{name}_file" for name in ("token", "username", "password", "ca", "certificate", "key")),
        "prometheus_headers_dir",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

    @model_validator(mode="after")
    def _prometheus_pairs(self) -> Settings:
        for one, other in (("username", "password"), ("certificate", "key")):
            files = [getattr(self, f"prometheus_{name}_file") for name in (one, other)]
            if (files[0] is None) != (files[1] is None):
                names = " and ".join(f"FAIRLEAD_PROMETHEUS_{name.upper()}_FILE" for name in (one, other))
                message = f"{names} belong together: set both or none"
                raise ValueError(message)
        if self.prometheus_token_file and self.prometheus_username_file:
            message = "FAIRLEAD_PROMETHEUS_TOKEN_FILE and FAIRLEAD_PROMETHEUS_USERNAME_FILE exclude each other"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _lease_times(self) -> Settings:
        self.lease  # noqa: B018 - its own check is the point
        return self

    @property
    def lease(self) -> LeaseSettings:
        """The Lease and its times."""
        return LeaseSettings(
            self.namespace, self.lease_name, self.lease_duration, self.lease_renew_deadline, self.lease_retry
        )
