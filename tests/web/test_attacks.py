"""Attacks on a server that has a token, each with the response to it."""

import http.client
import io
import json
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from web_inputs import png
from web_server import Running, Serve

from impasto.web import connection as connection_module
from impasto.web import feed, files, guard, limits
from impasto.web.guard import cookie_value

TOKEN = "a-token-of-this-test-0123456789"


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Target:
    """A server with a token, and raw requests to it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.host = running.url.removeprefix("http://")

    def send(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = TOKEN, **headers: str
    ) -> Response:
        """The response to a request with exactly these headers ("_" stands for "-")."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            fields.setdefault("authorization", f"Bearer {token}")
        try:
            connection.putrequest(method, path, skip_host="host" in fields)
            for name, value in fields.items():
                connection.putheader(name, value)
            if body is not None and "content-length" not in fields:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders()
            if body is not None:
                connection.send(body)
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    @property
    def head_of_an_upload(self) -> bytes:
        """The beginning of a request of 1000 bytes, of which one comes."""
        head = f"POST /api/files HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        return f"{head}Content-Length: 1000\r\n\r\nx".encode()

    def upload(self, content: bytes, name: str = "image.png") -> Response:
        return self.send("POST", f"/api/files?name={name}", content)

    def raw(self, data: bytes) -> bytes:
        """What the server answers to these bytes, until it closes the connection or is silent."""
        host, port = self.host.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(data)
            try:
                return connection.recv(65536)
            except TimeoutError:
                return b""


@pytest.fixture(scope="module")
def target(images: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    import threading

    from web_server import FAKE

    from impasto.batches.local import LocalExecutor
    from impasto.jobs.compute import Compute
    from impasto.web.server import Address, Server
    from impasto.web.service import Service

    folder = tmp_path_factory.mktemp("attacked")
    executor = LocalExecutor(Compute(device="cpu", memory=10**9), 1, overwrite=True, command=FAKE)
    service = Service(folder, executor, images)  # type: ignore[arg-type]
    server = Server(service, Address(port=0, token=TOKEN))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield Target(Running(service, server, TOKEN))
    server.stop()
    thread.join()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *extra: bytes) -> bytes:
    """A PNG that says that it has this size; its pixels are missing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as contents:
        contents.writestr(name, b"0" * 10_000_000)
    return file.getvalue()


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü"])
def test_no_or_a_wrong_token(target: Target, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PERIOD", 0.0)  # wrong tokens of other tests are forgotten
    for path in ("/api/setup", "/api/events", "/metrics", "/api/openapi.json", "/static/main.js"):
        response = target.send("GET", path, token=None if token is None else token.encode().decode("latin-1"))
        assert response.status in {401, 303}
        assert TOKEN.encode() not in response.body
    assert target.send("POST", "/api/jobs", b"{}", token=None).status == 401


def test_a_cookie_of_a_guessed_token(target: Target) -> None:
    assert target.send("GET", "/api/setup", token=None, cookie=f"impasto_token={cookie_value('guess')}").status == 401
    assert target.send("GET", "/api/setup", token=None, cookie=f"impasto_token={TOKEN}").status == 401
    assert target.send("GET", "/api/setup", token=None, cookie=f"impasto_token={cookie_value(TOKEN)}").status == 200


def test_the_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read(target: Target) -> None:
    response = target.send("GET", f"/?token={TOKEN}", token=None)
    assert (response.status, response.headers["location"]) == (303, "/")
    cookie = response.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {*cookie.split("; ")}
    assert TOKEN not in cookie
    form = target.send(
        "POST", "/login", f"token={TOKEN}".encode(), token=None, content_type="application/x-www-form-urlencoded"
    )
    assert (form.status, form.headers["set-cookie"]) == (303, cookie)


def test_guessing_tokens_is_slowed_down(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "data", token=TOKEN) as running:
        target = Target(running)
        statuses = [target.send("GET", "/api/setup", token=f"guess {number}").status for number in range(14)]
        assert statuses == [401] * guard.ATTEMPTS + [429] * 4
        assert target.send("GET", "/api/setup", token=TOKEN).status == 429  # nor does a right guess help
        cookie = f"impasto_token={cookie_value(TOKEN)}"  # who is known is not locked out
        assert target.send("GET", "/api/setup", token=None, cookie=cookie).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8400",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "a/b",
        "localhost@evil.example",
        "[::1].evil.example",
    ],
)
def test_another_name_of_the_server_as_after_dns_rebinding(target: Target, host: str) -> None:
    assert target.send("GET", "/api/setup", host=host).status in {400, 421}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost.evil.example", "file://", "http://127.0.0.1:1"]
)
def test_a_request_of_another_site(target: Target, origin: str) -> None:
    for method, path in (("POST", "/api/jobs"), ("DELETE", "/api/jobs/1"), ("POST", "/login"), ("GET", "/api/setup")):
        assert target.send(method, path, b"{}", origin=origin).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_or_form_of_another_site(target: Target, site: str) -> None:
    assert target.send("GET", "/api/jobs/1/result", sec_fetch_site=site, sec_fetch_mode="no-cors").status == 403
    post = target.send("POST", "/api/jobs/1/cancel", b"", sec_fetch_site=site, sec_fetch_mode="navigate")
    assert post.status == 403
    assert target.send("GET", "/", sec_fetch_site=site, sec_fetch_mode="navigate").status == 200  # a link to the page


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/..\\app.py",
        "/../../etc/passwd",
        "/api/files/..%2f..%2fimpasto.sqlite3/content",
        "/api/files/%2e%2e%2ftoken/content",
        "/api/files/" + "a" * 63 + "/content",
        "/api/files/" + "A" * 64 + "/content",
        "/api/files/" + "a" * 64 + "%00.png/content",
        "/api/jobs/..%2f..%2ftoken/result",
        "/api/jobs/1e3/result",
        "/api/jobs/-1/result",
        "/api/jobs/99999999999999999999999/result",
        "/api/demo/..%2f__init__.py",
        "/api/demo/%2fetc%2fpasswd",
    ],
)
def test_paths_out_of_the_folders(target: Target, path: str) -> None:
    method = "POST" if path.startswith("/api/demo") else "GET"
    response = target.send(method, path, b"" if method == "POST" else None)
    assert response.status in {404, 405, 422}
    assert b"root:" not in response.body
    assert b"import " not in response.body


@pytest.mark.parametrize(
    "name",
    [
        "../../../tmp/x.png",
        "..\\..\\x.png",
        "/etc/passwd",
        "a%00b.png",
        "%0d%0aSet-Cookie:%20a=b",
        "x" * 5000,
        "%F0%9F%8E%A8.png",
        "CON",
        "<script>alert(1)</script>.png",
        ".",
    ],
)
def test_names_of_uploads_are_only_shown(target: Target, name: str) -> None:
    before = {file.name for file in (target.running.service.root / "files").iterdir()}
    response = target.upload(png(seed=abs(hash(name)) % 1000), name)
    assert response.status in {200, 201}
    after = {file.name for file in (target.running.service.root / "files").iterdir()}
    assert all(len(each) == 64 for each in after)
    assert len(after - before) <= 1
    (digest,) = after - before or {next(iter(after))}
    download = target.send("GET", f"/api/files/{digest}/content")
    assert download.headers["content-type"] == "application/octet-stream"
    assert download.headers["content-disposition"].startswith("attachment")
    assert "set-cookie" not in download.headers


BAD_IMAGES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"hello" * 100,
    "HTML with a script": lambda: b"<!DOCTYPE html><script>alert(1)</script>",
    "SVG with a script": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "SVG that names a file": lambda: (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    ),
    "a ZIP bomb": lambda: archive("image.png"),
    "a ZIP with a path": lambda: archive("../../x.png"),
    "PDF": lambda: b"%PDF-1.4\n%%EOF",
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n(r) file\n",
    "a PNG of 65535 x 65535 pixels": lambda: png_of(65535, 65535),
    "a PNG of 2^31 x 2^31 pixels": lambda: png_of(2**31 - 1, 2**31 - 1),
    "a PNG without pixels": lambda: png_of(0, 0),
    "a PNG whose text expands to 100 MB": lambda: png_of(
        64, 64, chunk(b"zTXt", b"x\0\0" + zlib.compress(b"0" * 100_000_000))
    ),
    "a PNG that is cut off": lambda: png()[:-200],
    "a PNG header and then HTML": lambda: png()[:33] + b"<script>alert(1)</script>",
    "a GIF of 65535 x 65535 pixels": lambda: (
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + b"\0" * 6 + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;"
    ),
    "a pickle": lambda: b"\x80\x04\x95\x0b\0\0\0\0\0\0\0cos\nsystem\n.",
    "an executable": lambda: b"\x7fELF" + b"\0" * 200,
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_files_that_are_not_usable_images(target: Target, kind: str) -> None:
    before = {file.name for file in (target.running.service.root / "files").iterdir()}
    response = target.upload(BAD_IMAGES[kind]())
    assert response.status == 415
    assert response.body.startswith(b'{"error":"image.png: ')
    assert b"\\n" not in response.body
    assert b"Traceback" not in response.body
    assert {file.name for file in (target.running.service.root / "files").iterdir()} == before


def test_an_image_that_is_also_a_web_page_is_never_served_as_one(target: Target) -> None:
    both = png(seed=77) + b"<html><script>alert(1)</script></html>"
    digest = json.loads(target.upload(both, "page.html").body)["id"]
    for path in ("content", "thumbnail", "tiles/0/0/0"):
        response = target.send("GET", f"/api/files/{digest}/{path}")
        assert "html" not in response.headers["content-type"]
        assert response.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in target.send("GET", f"/api/files/{digest}/tiles/0/0/0").body


def test_a_large_image_within_the_limits_does_not_harm_the_server(target: Target) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((100, 20000), np.uint8)).save(file, "PNG")
    assert target.upload(file.getvalue()).status == 201
    assert target.send("GET", "/healthz").status == 200


def test_bodies_that_are_too_large(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 100_000)
    monkeypatch.setattr(files, "MAX_BYTES", 100_000)
    assert target.send("POST", "/api/jobs", b"x", content_length=str(2**40)).status == 413
    assert target.send("POST", "/api/files", b"x", content_length="100001").status == 413
    assert target.send("POST", "/api/files", b"x", content_length="9" * 30).status in {400, 413}
    lines = b"".join(b"%x\r\n%s\r\n" % (50_000, b"0" * 50_000) for _ in range(3)) + b"0\r\n\r\n"
    answer = target.send("POST", "/api/files", lines, transfer_encoding="chunked", content_length="0")
    assert answer.status in {400, 413}
    head = f"POST /api/files HTTP/1.1\r\nHost: {target.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    chunked = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + lines
    assert b" 413 " in target.raw(chunked).split(b"\r\n")[0]
    assert not [*(target.running.service.root / "files").glob(".upload-*")]


def test_a_body_that_comes_too_slowly(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHUNK_SECONDS", 0.3)
    head = target.head_of_an_upload
    assert b" 408 " in target.raw(head).split(b"\r\n")[0]
    host, port = target.host.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:  # a byte now and then
        connection.sendall(head)
        for _ in range(8):
            time.sleep(0.1)
            connection.sendall(b"x")
        assert b" 408 " in connection.recv(65536).split(b"\r\n")[0]
    assert not [*(target.running.service.root / "files").glob(".upload-*")]


@pytest.mark.parametrize(
    ("earlier", "head"),
    [(0, b""), (0, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 1000), (2, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 1000)],
    ids=["silence", "a byte now and then", "the same after other requests"],
)
def test_a_head_that_comes_too_slowly(
    target: Target, monkeypatch: pytest.MonkeyPatch, earlier: int, head: bytes
) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.3)
    host, port = target.host.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for _ in range(earlier):
            client.sendall(f"GET /healthz HTTP/1.1\r\nHost: {target.host}\r\n\r\n".encode())
            answer = b""
            while b'"ok"' not in answer:
                answer += client.recv(65536)
        client.settimeout(0.05)
        for place in range(200):
            try:
                client.sendall(head[place : place + 1])
                if client.recv(65536) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("the connection is still open")
    assert target.send("GET", "/healthz").status == 200


def test_a_slow_body_and_a_long_response_are_not_taken_for_a_slow_head(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HEAD_SECONDS", 0.2)
    host, port = target.host.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for part in (
            b"POST /api/jobs HTTP/1.1\r\nHost: ",
            f"{target.host}\r\nContent-Length: 2\r\n\r\n".encode(),
            b"{",
        ):
            client.sendall(part)
            time.sleep(0.05)
        time.sleep(0.3)
        client.sendall(b"}")
        assert b" 401 " in client.recv(65536).split(b"\r\n")[0]
    with socket.create_connection((host, int(port)), timeout=10) as client:
        head = f"GET /api/events HTTP/1.1\r\nHost: {target.host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        client.sendall(head.encode())
        assert b" 200 " in client.recv(65536)
        time.sleep(0.3)
        target.running.service.feed.publish("job", {"name": "an event"})
        received = b""
        while b"an event" not in received:
            received += (more := client.recv(65536))
            assert more


def test_an_upload_that_is_broken_off_leaves_nothing(target: Target) -> None:
    head = target.head_of_an_upload
    host, port = target.host.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head)
        time.sleep(0.2)
    for _ in range(50):
        if not (left := [*(target.running.service.root / "files").glob(".upload-*")]):
            break
        time.sleep(0.05)
    assert left == []


def test_too_many_uploads(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "UPLOADS", 3)
    with serve(tmp_path / "data", token=TOKEN) as running:
        target = Target(running)
        assert [target.upload(b"no image").status for _ in range(5)] == [415] * 3 + [429] * 2
        assert target.send("GET", "/api/setup").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ],
    ids=["huge header", "huge address", "TLS", "two lengths", "two hosts", "smuggling", "no host", "unknown version"],
)
def test_requests_that_are_not_http(target: Target, data: bytes) -> None:
    status = target.raw(data).split(b"\r\n")[0]
    assert status in {
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 421 Misdirected Request",
        b"HTTP/1.1 303 See Other",
        b"HTTP/1.1 505 HTTP Version Not Supported",
        b"HTTP/1.1 431 Request Header Fields Too Large",
    }
    assert target.send("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE jobs; --", "1' OR '1'='1", "%27%20UNION%20SELECT%20sql%20FROM%20sqlite_master--"]
)
def test_sql_in_every_parameter(target: Target, text: str) -> None:
    quoted = quote(text)
    for path in (f"/api/jobs?search={quoted}", f"/api/jobs?state={quoted}", f"/api/jobs?before={quoted}"):
        response = target.send("GET", path)
        assert response.status in {200, 422}
        assert b"sqlite" not in response.body
    assert target.send("DELETE", f"/api/saved/{quoted}").status == 404
    assert target.running.service.jobs.counts() == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{" * 100_000,
        b'{"settings": {"init": "/etc/passwd"}}',
        b'{"content": "../../etc/passwd"}',
        b'{"settings": {"size": 1e400}}',
        b'{"settings": {"size": NaN}}',
        b'{"settings": {"size": -1}}',
        b'{"settings": {"size": 99999999999999999999}}',
        b'{"settings": {"unknown": 1}}',
        b'{"__proto__": {"a": 1}}',
        b'{"outputs": {"result": "/tmp/x.png"}}',
        b'{"styles": ' + b"[" * 200 + b"]" * 200 + b"}",
        b"\xff\xfe",
    ],
)
def test_jobs_that_are_not_jobs(target: Target, body: bytes) -> None:
    response = target.send("POST", "/api/jobs", body, content_type="application/json")
    assert response.status in {400, 422}
    assert response.body.startswith(b'{"error":"')
    assert b"Traceback" not in response.body
    assert target.running.service.jobs.counts() == {}


def test_jobs_with_an_initial_image_of_the_server(target: Target) -> None:
    digest = json.loads(target.upload(png(seed=3)).body)["id"]
    job = {"content": digest, "styles": [{"file": digest}], "settings": {"init": "/etc/passwd"}}
    response = target.send("POST", "/api/jobs", json.dumps(job).encode(), content_type="application/json")
    assert response.status == 422
    assert b"settings.init: got a file; upload it" in response.body


def test_names_of_jobs_do_not_become_headers(target: Target) -> None:
    digest = json.loads(target.upload(png(seed=3)).body)["id"]
    name = 'a\r\nSet-Cookie: b=c\0"; filename="../../x.sh'
    job = {"content": digest, "styles": [{"file": digest}], "settings": {"steps": 1, "size": 64}, "name": name}
    created = target.send("POST", "/api/jobs", json.dumps(job).encode(), content_type="application/json")
    number = json.loads(created.body)["number"]
    target.running.wait_for(number, "done")
    headers = target.send("GET", f"/api/jobs/{number}/result").headers
    assert "set-cookie" not in headers
    assert headers["content-disposition"] == "attachment; filename*=utf-8''aSet-Cookie%20bc%20filename....x.sh.png"
    target.send("DELETE", f"/api/jobs/{number}")


def test_streams_of_events_do_not_exhaust_the_server(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_CLIENTS", 3)
    host, port = target.host.rsplit(":", 1)
    head = f"GET /api/events HTTP/1.1\r\nHost: {target.host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    open_streams = []
    for _ in range(3):
        connection = socket.create_connection((host, int(port)), timeout=5)
        connection.sendall(head)
        assert b" 200 " in connection.recv(65536)
        open_streams.append(connection)
    assert target.send("GET", "/api/events").status == 503
    for connection in open_streams:
        connection.close()
    target.running.service.feed.publish("job", {})  # a closed connection is noticed at the next event
    for _ in range(100):
        if not target.running.service.feed.clients:
            break
        time.sleep(0.05)
    assert target.running.service.feed.clients == 0


@pytest.mark.posix("links without a privilege")
def test_links_in_the_data_folder_are_no_way_out(target: Target) -> None:
    link = target.running.service.root / "files" / ("b" * 64)
    link.symlink_to("/etc/passwd")
    try:
        assert target.send("GET", f"/api/files/{'b' * 64}/content").status == 404  # not in the table
    finally:
        link.unlink()


def test_every_response_has_the_headers_of_security(target: Target) -> None:
    for path in ("/", "/login", "/static/page.css", "/api/setup", "/api/unknown", "/healthz"):
        headers = target.send("GET", path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


def test_a_fault_of_the_server_is_not_shown(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(target.running.service.jobs, "select", fail)
    response = target.send("GET", "/api/jobs")
    assert (response.status, response.body) == (500, b'{"error":"the server failed; its log has the details"}')
