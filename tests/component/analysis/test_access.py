"""Getting at a Prometheus that asks who is there: TLS, passwords, certificates, tokens and tenants."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from requests import Session

from fairlead.analysis.access import Access
from fairlead.analysis.prometheus import PrometheusSource
from fairlead.analysis.source import MetricError, ProviderError, QueryError, Sample
from tests.cluster.pki import Authority
from tests.component.analysis.conftest import Exporter, Prometheus, configure, free_port
from tests.component.patience import PATIENCE

USER, PASSWORD = "judge", "correct horse"
HASHED = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"


@pytest.fixture
async def guarded(program: Path, exporter: Exporter, tmp_path: Path) -> AsyncIterator[tuple[Prometheus, Access]]:
    """A Prometheus that speaks TLS, wants a client certificate and a password, and the access to it."""
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("server", "prometheus", names=["127.0.0.1"])
    mine = authority.issue("client", USER)
    wanted = {"cert_file": str(pair.certificate), "key_file": str(pair.key)}
    wanted |= {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.certificate)}
    session = Session()
    session.trust_env = False  # or a bundle of the machine's goes before ours
    session.verify, session.cert = str(authority.certificate), (str(mine.certificate), str(mine.key))
    session.auth = (USER, PASSWORD)
    web_config = {"tls_server_config": wanted, "basic_auth_users": {USER: HASHED}}
    server = Prometheus(program, tmp_path, free_port(), "https", web_config, session)
    configure(server, exporter)
    access = Access(
        user_file=written(tmp_path / "username", USER),
        password_file=written(tmp_path / "password", f"{PASSWORD}\n"),
        ca_file=authority.certificate,
        certificate_file=mine.certificate,
        key_file=mine.key,
    )
    try:
        await server.start()
        yield server, access
    finally:
        server.stop()


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


async def ask(url: str, access: Access) -> list[Sample]:
    source = PrometheusSource(url, access=access, timeout=PATIENCE)
    try:
        return list(await source.instant("vector(1)", time.time()))
    finally:
        source.close()


async def test_tls_with_certificates_and_a_password(guarded: tuple[Prometheus, Access]) -> None:
    server, access = guarded
    assert [sample.value for sample in await ask(server.url, access)] == [1.0]
    assert access.password_file
    source = PrometheusSource(server.url, access=access, timeout=PATIENCE)
    await source.instant("up", time.time())
    access.password_file.write_text("wrong")
    with pytest.raises(QueryError, match=r"denied access \(HTTP 401\): check the operator's credentials"):
        await source.instant("up", time.time())
    access.password_file.write_text(PASSWORD)
    assert await source.instant("vector(2)", time.time()), "what is mounted anew is read anew"
    source.close()


async def test_every_way_of_not_being_trusted_is_told(guarded: tuple[Prometheus, Access], tmp_path: Path) -> None:
    server, good = guarded
    strange = Authority(tmp_path / "strange").certificate
    cases: list[tuple[Access, type[MetricError], str]] = [
        (replace(good, ca_file=None), ProviderError, "certificate verify failed"),
        (replace(good, ca_file=strange), ProviderError, "certificate verify failed"),
        (replace(good, ca_file=tmp_path / "none"), ProviderError, f"invalid path: {tmp_path}/none"),
        (replace(good, certificate_file=None), ProviderError, "certificate"),
        (replace(good, user_file=None), QueryError, "denied access (HTTP 401)"),
        (replace(good, user_file=tmp_path / "gone"), ProviderError, f"{tmp_path}/gone cannot be read: No such file"),
    ]
    for access, kind, text in cases:
        with pytest.raises(kind) as caught:
            await ask(server.url, access)
        assert text in str(caught.value)
        assert PASSWORD not in str(caught.value)


async def test_a_server_that_nobody_vouches_for_can_be_trusted_on_request(
    guarded: tuple[Prometheus, Access],
) -> None:
    server, good = guarded
    assert await ask(server.url, replace(good, ca_file=None, insecure=True))


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A gateway before a Prometheus, that notes what it was shown."""
    shown: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        shown.append(dict(request.headers))
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    app = web.Application()
    app.router.add_get("/api/v1/query", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}", shown
    await runner.cleanup()


async def test_a_token_is_read_anew_and_tenants_are_named(
    gateway: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    url, shown = gateway
    token, folder = written(tmp_path / "token", "first\n"), tmp_path / "headers"
    folder.mkdir()
    written(folder / "X-Scope-OrgID", "team-a\n")
    written(folder / "..data", "not a header")
    access = Access(token_file=token, headers={"X-Env": "prod"}, headers_folder=folder)
    source = PrometheusSource(url, access=access, timeout=PATIENCE)
    await source.instant("up", 1.0)
    token.write_text("second")
    await source.instant("up", 1.0)
    source.close()
    assert [headers["Authorization"] for headers in shown] == ["Bearer first", "Bearer second"]
    assert {(headers["X-Scope-OrgID"], headers["X-Env"]) for headers in shown} == {("team-a", "prod")}


async def test_credentials_in_the_address_still_work(gateway: tuple[str, list[dict[str, str]]]) -> None:
    url, shown = gateway
    await ask(url.replace("http://", "http://someone:secret@"), Access())
    assert shown[0]["Authorization"] == "Basic c29tZW9uZTpzZWNyZXQ="
