"""Uploads: plain documents are taken, sixty and more hostile ones are refused by their content."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from investors.domain.onboarding.uploads import BYTES_MAX, check_upload, plain_name
from magnetfund.kernel.errors import InvalidInput


def pdf(*objects: bytes, tail: bytes = b"%%EOF\n", head: bytes = b"%PDF-1.7\n") -> bytes:
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, o) for n, o in enumerate(objects, start=1))
    return head + body + b"trailer << /Root 1 0 R >>\nstartxref\n9\n" + tail


def packed(content: bytes, extra: bytes = b"", *, level: int = 9) -> bytes:
    data = zlib.compress(content, level)
    return (
        b"<< /Type /ObjStm /Filter /FlateDecode "
        + extra
        + b"/Length %d >>\nstream\n" % len(data)
        + data
        + b"\nendstream"
    )


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int = 2, height: int = 2, *, extra: bytes = b"", tail: bytes = b"") -> bytes:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(b"".join(b"\x00" + b"\x10\x20\x30" * 2 for _ in range(2)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
        + tail
    )


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body


def jpeg(
    width: int = 8, height: int = 8, *, extra: bytes = b"", scan: bytes = b"\x11\x22\x33",
    tail: bytes = b"",
) -> bytes:  # fmt: skip
    frame = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
        + extra
        + segment(0xC0, frame)
        + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
        + scan
        + b"\xff\xd9"
        + tail
    )


def active(word: bytes) -> bytes:
    return pdf(CATALOG, b"<< /S " + word + b" >>")


ACTS = (
    b"/JavaScript", b"/JS (app.alert(1))", b"/Launch", b"/EmbeddedFile", b"/EmbeddedFiles",
    b"/OpenAction << /S /GoTo >>", b"/AA << >>", b"/RichMedia", b"/XFA [ ]", b"/SubmitForm",
    b"/ImportData", b"/GoToE", b"/GoToR", b"/Rendition", b"/Movie", b"/Sound", b"/Flash", b"/3D",
)  # fmt: skip
HOSTILE: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    **{f"pdf {word.decode()}": (active(word), "upload_active") for word in ACTS},
    **{
        f"pdf packed {word.decode()}": (
            pdf(CATALOG, packed(b"1 0 << /S " + word + b" >>")),
            "upload_active",
        )
        for word in ACTS[:8]
    },
    "pdf with a name in hex": (active(b"/J#61vaScript"), "upload_active"),
    "pdf with all in hex": (active(b"/#4a#53 (x)"), "upload_active"),
    "pdf packed with a name in hex": (pdf(packed(b"<< /#4aS (x) >>")), "upload_active"),
    "pdf packed with spaces behind it": (pdf(packed(b"<< /JS\n(x) >>", level=1)), "upload_active"),
    "pdf packed twice": (
        pdf(packed(b"x", b"/Filter [ /ASCII85Decode /FlateDecode ] ")), "upload_active"
    ),
    "pdf packed by LZW": (pdf(packed(b"x", b"/Filter /LZWDecode ")), "upload_active"),
    "pdf packed in hex": (pdf(packed(b"x", b"/Filter /ASCIIHexDecode ")), "upload_active"),
    "pdf with its packing in hex": (pdf(packed(b"x", b"/Filter /L#5aWDecode ")), "upload_active"),
    "pdf locked": (pdf(CATALOG, b"<< /Encrypt 5 0 R >>"), "upload_locked"),
    "pdf locked, in hex": (pdf(CATALOG, b"<< /Encr#79pt 5 0 R >>"), "upload_locked"),
    "pdf cut off": (b"%PDF-1.7\n1 0 obj", "upload_broken"),
    "pdf of no version": (pdf(CATALOG, head=b"%PDF-9.x\n"), "upload_broken"),
    "pdf and a zip": (pdf(CATALOG, tail=b"%%EOF\nPK\x03\x04abc"), "upload_active"),
    "pdf and a program": (pdf(CATALOG, tail=b"%%EOF\nMZ\x90\x00"), "upload_active"),
    "pdf and a page": (pdf(b"<html><script>x</script>"), "upload_active"),
    "pdf bomb": (lambda: pdf(*[packed(b"\x00" * 9_000_000) for _ in range(8)]), "upload_size"),
    "pdf with a name of another file before it": (b"GIF89a" + pdf(CATALOG), "upload_type"),
    "program of Windows": (b"MZ\x90\x00" + b"\x00" * 60, "upload_type"),
    "program of Linux": (b"\x7fELF\x02\x01\x01" + b"\x00" * 60, "upload_type"),
    "program of macOS": (b"\xcf\xfa\xed\xfe" + b"\x00" * 60, "upload_type"),
    "shell script": (b"#!/bin/sh\nrm -rf /\n", "upload_type"),
    "web page": (b"<!doctype html><script>alert(1)</script>", "upload_type"),
    "drawing with a script": (b"<svg xmlns='x' onload='alert(1)'/>", "upload_type"),
    "xml with entities": (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>", "upload_type"),
    "php": (b"<?php system($_GET['c']); ?>", "upload_type"),
    "zip": (b"PK\x03\x04\x14\x00", "upload_type"),
    "office file with macros": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "upload_type"),
    "rich text": (b"{\\rtf1\\object}", "upload_type"),
    "postscript": (b"%!PS-Adobe-3.0\n", "upload_type"),
    "gif": (b"GIF89a\x01\x00\x01\x00", "upload_type"),
    "tiff": (b"II*\x00\x08\x00\x00\x00", "upload_type"),
    "bmp": (b"BM\x36\x00\x00\x00", "upload_type"),
    "webp": (b"RIFF\x24\x00\x00\x00WEBP", "upload_type"),
    "java class": (b"\xca\xfe\xba\xbe\x00\x00\x00\x34", "upload_type"),
    "shortcut": (b"[InternetShortcut]\nURL=http://example.com", "upload_type"),
    "text": (b"my passport number is 12345", "upload_type"),
    "a mark of byte order before a page": (b"\xef\xbb\xbf<html>", "upload_type"),
    "empty": (b"", "upload_empty"),
    "one byte": (b"%", "upload_type"),
    "too large": (lambda: b"%PDF-1.7" + b"\x00" * BYTES_MAX, "upload_size"),
    "png and a page": (png(tail=b"<script>alert(1)</script>"), "upload_active"),
    "png and a zip": (png(tail=b"PK\x03\x04"), "upload_active"),
    "png with a page in its text": (
        png(extra=chunk(b"tEXt", b"Comment\x00<script>x</script>")), "upload_active"
    ),
    "png bomb": (png(60_000, 60_000), "upload_size"),
    "png without size": (png(0, 5), "upload_broken"),
    "png cut off": (png()[:-6], "upload_broken"),
    "png with a wrong sum": (png()[:-1] + b"\x00", "upload_broken"),
    "png with a chunk beyond its end": (
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xff" + b"IHDR" + b"\x00" * 20, "upload_broken"
    ),
    "png without a head": (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "upload_broken"),
    "jpeg and a page": (jpeg(tail=b"<script>alert(1)</script>"), "upload_active"),
    "jpeg and a program": (jpeg(tail=b"MZ\x90\x00"), "upload_active"),
    "jpeg twice": (jpeg(tail=jpeg()), "upload_active"),
    "jpeg with a page in its comment": (
        jpeg(extra=segment(0xFE, b"<html><script>x</script>")), "upload_active"
    ),
    "jpeg with php in its comment, and a tail": (jpeg(tail=b"<?php ?>"), "upload_active"),
    "jpeg bomb": (jpeg(65_000, 65_000), "upload_size"),
    "jpeg without size": (jpeg(0, 8), "upload_broken"),
    "jpeg cut off": (jpeg()[:-2], "upload_broken"),
    "jpeg of a head alone": (b"\xff\xd8\xff\xe0", "upload_broken"),
    "jpeg with a segment beyond its end": (b"\xff\xd8\xff\xe0\xff\xff" + b"x" * 9, "upload_broken"),
    "jpeg without a frame": (
        b"\xff\xd8" + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x11\xff\xd9", "upload_broken"
    ),
}  # fmt: skip


def test_there_are_at_least_sixty_hostile_files() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_file_is_refused_by_what_is_in_it(name: str) -> None:
    content, code = HOSTILE[name]
    with pytest.raises(InvalidInput) as refused:
        check_upload(name="passport.pdf", content=content() if callable(content) else content)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("name", "content", "extension"),
    [
        ("scan.exe", pdf(CATALOG), "pdf"),
        ("scan.pdf", pdf(CATALOG, packed(b"1 0 << /Type /Font >>")), "pdf"),
        ("opens at a page.pdf", pdf(b"<< /OpenAction [3 0 R /Fit] >>"), "pdf"),
        ("a.html", png(), "png"),
        ("b.png", jpeg(), "jpg"),
        ("c.jpg", jpeg(extra=segment(0xE1, b"Exif\x00\x00" + jpeg())), "jpg"),
        ("d.jpg", jpeg(tail=b"\x00\x00"), "jpg"),
    ],
)
def test_a_plain_file_is_taken_whatever_its_name(name: str, content: bytes, extension: str) -> None:
    found = check_upload(name=name, content=content)
    assert found.extension == extension


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\scan.pdf", "scan.pdf"),
        ("a\x00b\r\nSet-Cookie: x.pdf", "a_b__Set-Cookie_ x.pdf"),
        ('"><script>.pdf', "___script_.pdf"),
        ("...", "file"),
        ("x" * 300, "x" * 120),
    ],
)
def test_a_name_is_never_a_path_nor_markup(name: str, plain: str) -> None:
    assert plain_name(name) == plain
