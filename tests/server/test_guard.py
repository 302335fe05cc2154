"""What other websites, and names that point to this machine, get from a server: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from serving import SENTENCE, Served, serving

BODY = json.dumps({"tokens": SENTENCE}).encode()


def status_of(served: Served, method: str = "POST", path: str = "/v1/tag", **headers: str) -> int:
    fields = {"content_type": "application/json", **headers}
    found = served.ask(method, path, BODY if method == "POST" else None, **fields)
    if found.status != 200:
        assert found.json["error"]["status"] == found.status
        assert str(Path.cwd()) not in found.body.decode()
    return found.status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost", 200),
        ("LOCALHOST.:{port}", 200),
        ("tagger.localhost:{port}", 200),
        ("[::1]:{port}", 200),
        ("192.168.7.7", 200),
        ("evil.example:{port}", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 400),
        ("", 400),
        ("a b", 400),
        ("[::1", 400),
        ("localhost:123456", 400),
    ],
)
def test_only_names_of_this_server_are_served(served: Served, host: str, status: int) -> None:
    """A website whose name is made to point to 127.0.0.1 gives its own name: DNS rebinding."""
    assert status_of(served, Host=host.format(port=served.port)) == status
    assert status_of(served, "GET", "/v1/models", Host=host.format(port=served.port)) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 200),
        ("https://127.0.0.1:{port}", 200),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:1", 403),
        ("http://localhost:{port}", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("file://", 403),
    ],
)
def test_only_this_servers_own_page_may_ask(served: Served, origin: str, status: int) -> None:
    assert status_of(served, Origin=origin.format(port=served.port)) == status
    assert status_of(served, "GET", "/v1/models", Origin=origin.format(port=served.port)) == status


def test_what_browsers_say_about_the_origin_counts(served: Served) -> None:
    for site, status in {"same-origin": 200, "none": 200, "same-site": 403, "cross-site": 403, "x": 403}.items():
        assert status_of(served, Sec_Fetch_Site=site) == status
        assert status_of(served, "GET", "/v1/models", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate") == status
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert status_of(served, "GET", "/", **link) == 200, "a link to the page may be followed"
    assert status_of(served, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/json; charset=x"],
)
def test_what_a_form_could_send_is_refused(served: Served, kind: str) -> None:
    assert status_of(served, content_type=kind) == 415


def test_other_spellings_of_json_are_allowed(served: Served) -> None:
    for kind in ("application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'):
        assert status_of(served, content_type=kind) == 200
    assert status_of(served, content_encoding="gzip") == 415


def test_other_methods_and_paths(served: Served) -> None:
    for method, path, status in [
        ("GET", "/v1/tag", 405),
        ("OPTIONS", "/v1/tag", 405),
        ("POST", "/v1/models", 405),
        ("PUT", "/", 405),
        ("GET", "/v1/tag/", 404),
        ("GET", "/page.js/../../settings.py", 404),
        ("GET", "/%2e%2e/settings.py", 404),
        ("GET", "/docs", 404),
    ]:
        assert status_of(served, method, path) == status, (method, path)


def test_no_answer_may_be_read_or_framed_by_others(served: Served) -> None:
    for path in ("/v1/models", "/", "/page.js", "/nothing", "/metrics"):
        headers = served.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    policy = served.ask("GET", "/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_host_that_is_named_is_allowed(model: Path) -> None:
    with serving("--model", model, "--allow-host", "tagger.example.org") as served:
        assert status_of(served, Host="Tagger.Example.org") == 200
        assert status_of(served, Host="Tagger.Example.org", Origin="https://tagger.example.org") == 200
        assert status_of(served, Host="other.example.org") == 421
