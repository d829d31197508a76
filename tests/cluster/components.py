"""Command lines of the control plane's programs; each flag is here because something fails or drags without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from .pki import Authority, KeyPair, kubeconfig, service_account_key
from .tools import tool

SERVICE_RANGE = "10.96.0.0/16"
_SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1", "10.96.0.1")
# Only writes: what the tests count, and a log that stays small next to a watching cluster's reads.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True)
class Pki:
    """Everything that the control plane's programs identify themselves with, in one folder."""

    authority: Authority
    server: KeyPair
    to_kubelet: KeyPair
    front_proxy: KeyPair
    token_key: Path

    @classmethod
    def create(cls, folder: Path, addresses: Sequence[str] = ()) -> Pki:
        """Make the certificates; addresses are the API server's, beside loopback and the in-cluster one."""
        authority = Authority(folder)
        return cls(
            authority=authority,
            server=authority.issue("apiserver", "kube-apiserver", names=(*_SERVER_NAMES, *addresses)),
            to_kubelet=authority.issue("apiserver-kubelet", "kube-apiserver-kubelet-client", ("system:masters",)),
            front_proxy=authority.issue("front-proxy", "front-proxy"),
            token_key=service_account_key(folder / "tokens.key"),
        )

    def kubeconfig(self, path: Path, server: str, user: str, groups: Sequence[str] = (), *, context: str) -> Path:
        """Write a kubeconfig for a user in groups, with a certificate of its own."""
        pair = self.authority.issue(f"user-{path.stem}", user, groups)
        return kubeconfig(path, server, self.authority.certificate, pair, context)


def etcd(data: Path, client: str, peer: str) -> list[str]:
    """Return etcd's command line; client and peer are URLs. Nothing is synced to disk: the data is short-lived."""
    return [
        str(tool("etcd")),
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where an API server listens, what it stores in, and where it writes its audit log (None: nowhere)."""

    address: str
    port: int
    etcd: str
    audit_log: Path | None

    @property
    def url(self) -> str:
        """The address for kubeconfig files."""
        return f"https://{self.address}:{self.port}"

    def command(self, pki: Pki) -> list[str]:
        """Return kube-apiserver's command line."""
        ca = pki.authority.certificate
        flags = {
            "etcd-servers": self.etcd,
            "bind-address": self.address,
            "advertise-address": self.address,
            "secure-port": self.port,
            "service-cluster-ip-range": SERVICE_RANGE,
            "client-ca-file": ca,
            "tls-cert-file": pki.server.certificate,
            "tls-private-key-file": pki.server.key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki.token_key,
            "service-account-signing-key-file": pki.token_key,
            "authorization-mode": "Node,RBAC",
            "allow-privileged": "true",
            "kubelet-client-certificate": pki.to_kubelet.certificate,
            "kubelet-client-key": pki.to_kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
            # The aggregation layer (metrics-server) needs its own client certificate and a route to pod addresses.
            "requestheader-client-ca-file": ca,
            "proxy-client-cert-file": pki.front_proxy.certificate,
            "proxy-client-key-file": pki.front_proxy.key,
            "requestheader-allowed-names": "front-proxy",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "enable-aggregator-routing": "true",
            "profiling": "false",
            # One server only: leases and identities of many need no upkeep.
            "endpoint-reconciler-type": "lease",
            "shutdown-delay-duration": "0s",
        }
        return [str(tool("kube-apiserver")), *(f"--{k}={v}" for k, v in flags.items()), *self._audit(pki)]

    def _audit(self, pki: Pki) -> list[str]:
        if self.audit_log is None:
            return []
        policy = pki.authority.folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(_AUDIT_POLICY))
        # Blocking mode: an answered request is in the log, so that a test can count at once.
        return [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=1000",
        ]


def controller_manager(pki: Pki, config: Path, port: int) -> list[str]:
    """Return kube-controller-manager's command line; config is its kubeconfig, port its own https port on loopback."""
    return [
        str(tool("kube-controller-manager")),
        *_common(config, port),
        f"--service-account-private-key-file={pki.token_key}",
        f"--root-ca-file={pki.authority.certificate}",
        f"--cluster-signing-cert-file={pki.authority.certificate}",
        f"--cluster-signing-key-file={pki.authority.key}",
        "--use-service-account-credentials",
        "--allocate-node-cidrs=false",
        # By default 20 requests a second, for which a rollout waits while many other pods come or go.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        # The default of 15 s would make every autoscaling test a quarter of a minute longer.
        "--horizontal-pod-autoscaler-sync-period=5s",
    ]


def scheduler(config: Path, port: int) -> list[str]:
    """Return kube-scheduler's command line."""
    return [str(tool("kube-scheduler")), *_common(config, port)]


def _common(config: Path, port: int) -> list[str]:
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--leader-elect=false",
        "--profiling=false",
    ]
