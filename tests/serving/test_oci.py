"""Models from OCI registries: Debian's registry, and one that fails in every way that registries do."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.settings import ServingDefaults
from fairlead.desired.podtemplate import pod_template
from fairlead_serving.digest import digest_of_path
from fairlead_serving.errors import LoadError, StorageUnreachableError
from tests.serving.artifacts import FILES, Pushed, contents, fetched, models_in_every_form
from tests.serving.certificates import Authority
from tests.serving.harness import Server, table
from tests.serving.registry import PASSWORD, USER, by_password, by_token, running_issuer, running_registry

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's folder with the models of FILES in the repository ml/fraud."""
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder) as port:
        models_in_every_form().push(port, "ml/fraud")
    return folder


@pytest.fixture(scope="module")
def open_registry(root: Path) -> Iterator[str]:
    with running_registry(root) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def digest(tmp_path: Path) -> str:
    for name, content in FILES.items():
        path = tmp_path / "same" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return digest_of_path(tmp_path / "same")


@pytest.mark.parametrize("tag", [":files", ":folder", ":archives", ":index", "@{}", ":other@{}"])
def test_an_artifact_comes_whole_with_its_digest(open_registry: str, tmp_path: Path, digest: str, tag: str) -> None:
    uri = f"oci://{open_registry}/ml/fraud{tag}".format(models_in_every_form().descriptor("files")["digest"])
    artifact = fetched(uri, tmp_path / "cache")
    assert (artifact.digest, contents(artifact)) == (digest, FILES)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [digest.replace(":", "-")]


def test_a_wrong_digest_is_refused(open_registry: str, tmp_path: Path) -> None:
    uri = f"oci://{open_registry}/ml/fraud:files"
    with pytest.raises(LoadError, match=f"wrong digest: {uri} is sha256:.*, asked for was sha256:0000"):
        fetched(uri, tmp_path / "cache", "sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (
            "ml/fraud:nothing",
            "does not exist at http://127.0.0.1:.* (404 Not Found, MANIFEST_UNKNOWN: manifest unknown",
        ),
        ("ml/nothing:1", "does not exist at http"),
        (f"ml/fraud@sha256:{'0' * 64}", "does not exist at http"),
        ("ml/fraud:several", "has 2 manifests, as for several platforms; name one of them"),
        ("ml/fraud:outside", r"the file name '\.\./model\.onnx' leads out of the model's folder"),
        ("ml/fraud:nameless", "a layer of the type 'application/octet-stream' has no file name"),
        ("ml/fraud:twice", "has two files of the name model.onnx"),
        ("ml/fraud:empty", "has no files"),
        ("ml/fraud@sha256:abc", "should be oci://registry/repository, with :tag or @sha256"),
        ("ML/fraud:1", "should be oci://registry/repository"),
        ("", "should be oci://registry/repository"),
    ],
)
def test_what_cannot_succeed_is_said(open_registry: str, tmp_path: Path, reference: str, reason: str) -> None:
    with pytest.raises(LoadError, match=reason.replace("(", r"\(")):
        fetched(f"oci://{open_registry}/{reference}", tmp_path / "cache")


def test_the_server_serves_a_model_from_a_registry(start: Start, models: Path, tmp_path: Path) -> None:
    model = Pushed()
    model.artifact("1.0", [model.file("model.onnx", (models / "onnx/model.onnx").read_bytes())])
    with running_registry(tmp_path) as port:
        model.push(port, "ml/iris")
        server = start(f"oci://127.0.0.1:{port}/ml/iris:1.0", "--workers", "2", FAIRLEAD_MODEL_NAME="").ready()
        server.ready()
        assert server.get("/fairlead/v1/status").json["digest"] == digest_of_path(models / "onnx")
        assert server.infer(table(), "/v2/models/iris/infer").status == 200


def test_a_pod_as_the_operator_makes_it_pulls_with_its_secret(start: Start, models: Path, tmp_path: Path) -> None:
    model = Pushed()
    digest = model.artifact("7", [model.file("model.onnx", (models / "onnx/model.onnx").read_bytes())])
    with running_registry(tmp_path / "open") as port:
        model.push(port, "ml/iris")
    with running_registry(tmp_path / "open", **by_password(tmp_path / "closed")) as port:
        host = f"127.0.0.1:{port}"
        uri = f"oci://{host}/ml/iris@{digest}"
        given = {"model": {"storageUri": uri, "version": "7", "storage": {"secretRef": {"name": "login"}}}}
        spec = ModelDeploymentSpec.model_validate(given)
        pod = pod_template("iris", spec, "0123456789", "7", ServingDefaults(image="serving:1"))["spec"]
        told = {item["name"]: item["value"] for item in pod["containers"][0]["env"] if "value" in item}
        secret = docker_config(tmp_path / "secret", host, username=USER, password=PASSWORD)
        (mount,) = (item for item in pod["containers"][0]["volumeMounts"] if item["name"] == "registry")
        assert told["DOCKER_CONFIG"] == mount["mountPath"]
        moved = {"DOCKER_CONFIG": str(secret.parent), "FAIRLEAD_CACHE_DIR": str(tmp_path / "cache")}
        server = start(told["FAIRLEAD_STORAGE_URI"], **{**told, **moved}).ready()
        probe = pod["containers"][0]["readinessProbe"]["httpGet"]["path"]
        assert server.get(probe).status == 200


def docker_config(folder: Path, key: str, **entry: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {"other.example": {"auth": "!"}, key: entry}, "credsStore": "desktop"}))
    return path


def ways_in(folder: Path, host: str) -> dict[str, dict[str, str]]:
    both = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    pull_secret = docker_config(folder / "secret", f"https://{host}/v2/", auth=both)
    namespace = docker_config(folder / "login", f"{host}/ml", username=USER, password=PASSWORD)
    return {
        "variables": {"OCI_USERNAME": USER, "OCI_PASSWORD": PASSWORD},
        "pull secret": {"DOCKER_CONFIG": str(pull_secret.parent)},
        "file": {"REGISTRY_AUTH_FILE": str(namespace)},
    }


def test_a_registry_with_passwords_lets_in_who_has_one(root: Path, tmp_path: Path, digest: str) -> None:
    with running_registry(tmp_path / "closed", **by_password(tmp_path / "closed"), **stored(root)) as port:
        uri = f"oci://127.0.0.1:{port}/ml/fraud:files"
        for name, way in ways_in(tmp_path, f"127.0.0.1:{port}").items():
            assert fetched(uri, tmp_path / name, **way).digest == digest
        with pytest.raises(LoadError, match=r"without credentials set was denied \(401 Unauthorized, UNAUTHORIZED"):
            fetched(uri, tmp_path / "nobody")
        with pytest.raises(LoadError, match="was denied") as caught:
            fetched(uri, tmp_path / "wrong", OCI_USERNAME=USER, OCI_PASSWORD="open-barley")
        assert "barley" not in str(caught.value)


@pytest.mark.parametrize("public", [True, False])
def test_a_registry_with_tokens_lets_in_whom_its_issuer_does(
    root: Path, tmp_path: Path, digest: str, *, public: bool
) -> None:
    with running_issuer(public=public) as issuer:
        settings = {**by_token(tmp_path / "closed", issuer), **stored(root)}
        with running_registry(tmp_path / "closed", **settings) as port:
            uri = f"oci://127.0.0.1:{port}/ml/fraud:files"
            for name, way in ways_in(tmp_path, f"127.0.0.1:{port}").items():
                assert fetched(uri, tmp_path / name, **way).digest == digest
            if public:
                assert fetched(uri, tmp_path / "nobody").digest == digest
                assert issuer.asked[-1] == ""
            else:
                with pytest.raises(LoadError, match=f"127.0.0.1:{issuer.port} without credentials set was denied"):
                    fetched(uri, tmp_path / "nobody")


def stored(root: Path) -> dict[str, Any]:
    return {"storage": {"filesystem": {"rootdirectory": str(root / "root")}}}


def test_a_registry_elsewhere_is_asked_by_https_and_must_prove_itself(
    root: Path, tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("ours")
    certificate, key = authority.issue(tmp_path / "tls", "registry.test")
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest: resolve("127.0.0.1" if host == "registry.test" else host, *rest)
    )
    tls = {"http": {"tls": {"certificate": str(certificate), "key": str(key)}}}
    with running_registry(tmp_path / "tls", **tls, **stored(root)) as port:
        uri = f"oci://registry.test:{port}/ml/fraud:files"
        trusted = {"SSL_CERT_FILE": str(authority.write(tmp_path / "ca.crt"))}
        assert fetched(uri, tmp_path / "cache", **trusted).digest == digest
        with pytest.raises(StorageUnreachableError, match=r"certificate verify failed: .* at https://registry\.test"):
            fetched(uri, tmp_path / "cache")


@pytest.mark.parametrize(
    ("reference", "environment", "reason"),
    [
        (":files", {}, "a connection that anybody can change: name its @sha256:…, or use https"),
        ("@{}", {"OCI_USERNAME": "u", "OCI_PASSWORD": "secret"}, "credentials are not sent over a connection"),
        ("@{}", {}, ""),
    ],
)
def test_an_open_connection_needs_a_digest_and_takes_no_password(
    open_registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reference: str,
    environment: dict[str, str],
    reason: str,
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest: resolve("127.0.0.1", *rest))
    host = f"registry.test:{open_registry.rpartition(':')[2]}"
    uri = f"oci://{host}/ml/fraud{reference}".format(models_in_every_form().descriptor("files")["digest"])
    given = {"OCI_PLAIN_HTTP": f"other.test, {host}", **environment}
    if not reason:
        assert contents(fetched(uri, tmp_path / "cache", **given)) == FILES
        return
    with pytest.raises(LoadError, match=reason) as caught:
        fetched(uri, tmp_path / "cache", **given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "are not what docker login writes"), ('{"auths": {"127.0.0.1": {"auth": "§"}}}', "are")],
)
def test_damaged_credentials_are_said_and_not_shown(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(LoadError, match=f"{tmp_path}/config.json {reason}") as caught:
        fetched("oci://127.0.0.1/ml:1", tmp_path / "cache", DOCKER_CONFIG=str(tmp_path))
    assert "§" not in str(caught.value)
