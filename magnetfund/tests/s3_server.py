"""A bucket on loopback that speaks enough of S3 and believes no unsigned byte.

It checks AWS Signature Version 4 by its own reading of the definition (``Authenticating Requests``
in the Amazon S3 API reference), the hash of every body, and answers mistakes as S3 does.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

KEY_ID, SECRET, REGION, BUCKET = "AKEXAMPLE", "a secret / of + the test", "eu-test-1", "backups"
PAGE = 3
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def expected_signature(request: web.Request, scope: str, headers: list[str], digest: str) -> str:
    """The signature that whoever knows the secret puts on this request."""
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.query.items()
    )
    canonical = "\n".join(
        [
            request.method,
            quote(request.path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in headers),
            "",
            ";".join(headers),
            digest,
        ]
    )
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, text).hex()


class S3Server:
    """Objects by key; ``failures`` answers the next requests with 500, ``fails_after`` all after so
    many, ``change`` spoils reads."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.requests: list[str] = []
        self.failures = 0
        self.fails_after: int | None = None
        self.may_delete = True
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{BUCKET}"

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path_qs}")
        body = await request.read()
        is_down = self.fails_after is not None and len(self.requests) > self.fails_after
        if self.failures > 0 or is_down:
            self.failures -= 1
            return _error(500, "InternalError")
        refusal = self._refuse(request, body)
        if refusal is not None:
            return refusal
        bucket, _, key = request.path.strip("/").partition("/")
        if bucket != BUCKET:
            return _error(404, "NoSuchBucket")
        return self._answer(request, key, body)

    def _refuse(self, request: web.Request, body: bytes) -> web.Response | None:
        match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if match is None:
            return _error(403, "AccessDenied")
        if match["id"] != KEY_ID:
            return _error(403, "InvalidAccessKeyId")
        digest = request.headers.get("x-amz-content-sha256", "")
        if digest != hashlib.sha256(body).hexdigest():
            return _error(400, "XAmzContentSHA256Mismatch")
        headers = match["headers"].split(";")
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(headers):
            return _error(403, "AccessDenied")
        if match["scope"].split("/")[1:] != [REGION, "s3", "aws4_request"]:
            return _error(400, "AuthorizationHeaderMalformed")
        wanted = expected_signature(request, match["scope"], headers, digest)
        return None if wanted == match["signature"] else _error(403, "SignatureDoesNotMatch")

    def _answer(self, request: web.Request, key: str, body: bytes) -> web.Response:
        query = request.query
        if request.method == "GET" and not key:
            return self._list(
                query.get("prefix", ""),
                query.get("continuation-token", ""),
                query.get("delimiter", ""),
            )
        if request.method == "POST" and "uploads" in query:
            upload = f"upload{len(self.uploads)}"
            self.uploads[upload] = {}
            return _xml(
                "InitiateMultipartUploadResult",
                f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>",
            )
        if request.method == "POST":
            parts = self.uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return _xml("CompleteMultipartUploadResult", _etag(self.objects[key]))
        if request.method == "PUT":
            if "uploadId" in query:
                self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            else:
                self.objects[key] = body
            return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if request.method == "DELETE":
            if "uploadId" in query:
                self.uploads.pop(query["uploadId"], None)
            elif not self.may_delete:
                return _error(403, "AccessDenied")
            else:
                self.objects.pop(key, None)
            return web.Response(status=204)
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        data = self.change(self.objects[key])
        return web.Response(
            body=data,
            headers={
                "ETag": f'"{hashlib.md5(data).hexdigest()}"',
                "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT",
            },
        )

    def _list(self, prefix: str, after: str, delimiter: str) -> web.Response:
        def rolled(key: str) -> str:
            """The key, or the common prefix that stands for it."""
            head, found, _ = key.removeprefix(prefix).partition(delimiter or "\0")
            return f"{prefix}{head}{found}"

        keys = sorted({rolled(key) for key in self.objects if key.startswith(prefix)})
        keys = [key for key in keys if key > after]
        more = len(keys) > PAGE
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-01T00:00:00.000Z"
            f"</LastModified>{_etag(self.objects[key])}<Size>{len(self.objects[key])}</Size>"
            "</Contents>"
            if key in self.objects
            else f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
            for key in keys[:PAGE]
        )
        last = escape(keys[PAGE - 1]) if more else ""
        token = f"<NextContinuationToken>{last}</NextContinuationToken>"
        return _xml(
            "ListBucketResult",
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{items}{token if more else ''}",
        )


def _etag(data: bytes) -> str:
    return f"<ETag>&quot;{hashlib.md5(data).hexdigest()}&quot;</ETag>"


def _xml(name: str, inner: str, status: int = 200) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inner}</{name}>'
    return web.Response(status=status, text=text, content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    return _xml("Error", f"<Code>{code}</Code><Message>no</Message>", status)


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A server on a free port of loopback, in a thread of its own."""
    server, loop, ready = S3Server(), asyncio.new_event_loop(), threading.Event()
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None)

    def serve() -> None:
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        server.port = runner.addresses[0][1]
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
