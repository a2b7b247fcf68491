"""What an uploaded file may be, by its content alone: a PDF that does nothing, a JPEG or a PNG.

The name of a file and the type that a browser claims decide nothing.  A PDF is refused when any
part of it, also inside compressed streams, can run, open, launch or carry something, when it is
locked, or when parts are packed in a way that is not read here.  An image is refused with bytes
behind its end.  Limits bound what reading a file can cost.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput

BYTES_MAX = 10_000_000
#: What the compressed streams of a PDF may grow to together.
INFLATED_MAX = 60_000_000
STREAMS_MAX = 20_000
#: Width times height of an image: a page scanned at 600 dpi has 35 million.
PIXELS_MAX = 60_000_000
NAME_MAX = 120
_PDF, _JPEG, _PNG = b"%PDF-", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.S)
_HEX = re.compile(rb"#([0-9A-Fa-f]{2})")
#: Names of the PDF reference that act, or carry another file.
_ACTIVE = re.compile(
    rb"/(JavaScript|JS|Launch|EmbeddedFiles?|OpenAction|AA|RichMedia|XFA|SubmitForm|ImportData"
    rb"|GoToE|GoToR|Rendition|Movie|Sound|Flash|3D)(?![A-Za-z0-9])"
)
_OPEN_TO_A_PAGE = re.compile(rb"/OpenAction\s*\[")
#: Objects inside a stream that is packed by one of these cannot be looked at.
_OBJECTS = re.compile(rb"/ObjStm(?![A-Za-z0-9])")
_OTHER_PACKING = re.compile(
    rb"/(ASCII85Decode|A85|ASCIIHexDecode|AHx|LZWDecode|LZW|RunLengthDecode|RL|Crypt)(?![A-Za-z0-9])"
)
#: What begins other documents than those that are taken, and has no place inside one either.
_MARKUP = re.compile(rb"<\s*(!doctype\s+html|html|script|svg|iframe|object|embed)\b", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A file that may be stored: its type, and a name of harmless signs."""

    name: str
    media_type: str
    extension: str


def check_upload(*, name: str, content: bytes) -> CheckedFile:
    """Check a file; raises :class:`InvalidInput`: ``upload_empty``, ``upload_size``,
    ``upload_type``, ``upload_active``, ``upload_locked``, ``upload_broken``."""
    if not content:
        raise InvalidInput("the file is empty", code="upload_empty")
    if len(content) > BYTES_MAX:
        raise InvalidInput("a file has at most 10 MB", code="upload_size")
    if content.startswith(_PDF):
        _check_pdf(content)
        kind = ("application/pdf", "pdf")
    elif content.startswith(_PNG):
        _check_png(content)
        kind = ("image/png", "png")
    elif content.startswith(_JPEG):
        _check_jpeg(content)
        kind = ("image/jpeg", "jpg")
    else:
        raise InvalidInput("only PDF, JPEG and PNG files are taken", code="upload_type")
    return CheckedFile(name=plain_name(name), media_type=kind[0], extension=kind[1])


def plain_name(name: str) -> str:
    """A name of letters, digits, spaces, dots and dashes; never a path."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(sign if sign.isalnum() or sign in " .-_" else "_" for sign in last)
    return plain.strip(" .")[:NAME_MAX] or "file"


def _check_pdf(content: bytes) -> None:
    end = content.rfind(b"%%EOF")
    if end < 0 or not re.match(rb"%PDF-[12]\.\d", content):
        raise InvalidInput("the PDF is incomplete", code="upload_broken")
    if content[end + 5 :].strip(b"\r\n\t \x00"):
        raise InvalidInput("there is data after the end of the PDF", code="upload_active")
    _check_pdf_part(content)
    plain = _plain_names(content)
    if _OBJECTS.search(plain) and _OTHER_PACKING.search(plain):
        raise InvalidInput("the PDF uses a compression that is not accepted", code="upload_active")
    budget = INFLATED_MAX
    for number, found in enumerate(_STREAM.finditer(content)):
        if number >= STREAMS_MAX:
            raise InvalidInput("the PDF has too many parts", code="upload_size")
        inflated = _inflate(found[1], budget)
        budget -= len(inflated)
        if inflated:
            _check_pdf_part(inflated)


def _plain_names(part: bytes) -> bytes:
    """Names may write any sign by its number: /J#53 is /JS."""
    return _HEX.sub(lambda m: bytes([int(m[1], 16)]), part)


def _check_pdf_part(part: bytes) -> None:
    plain = _plain_names(part)
    if re.search(rb"/Encrypt(?![A-Za-z0-9])", plain):
        raise InvalidInput(
            "the PDF is protected by a password; save it without one", code="upload_locked"
        )
    if _ACTIVE.search(_OPEN_TO_A_PAGE.sub(b"", plain)):
        raise InvalidInput("the PDF contains scripts, actions or attachments", code="upload_active")
    if _MARKUP.search(plain[:4096]):
        raise InvalidInput("the file is a web page as well", code="upload_active")


def _inflate(data: bytes, budget: int) -> bytes:
    """A stream as it unpacks; what is not packed by zlib gives nothing (it is read as it is)."""
    machine = zlib.decompressobj()
    try:
        found = machine.decompress(data.lstrip(b"\r\n"), budget + 1)
    except zlib.error:
        return b""
    if len(found) > budget:
        raise InvalidInput("the PDF is too large when unpacked", code="upload_size")
    return found


def _check_png(content: bytes) -> None:
    """Chunks in order with their checksums, an IHDR of a sane size, nothing behind IEND."""
    at, is_first = len(_PNG), True
    while True:
        if at + 12 > len(content):
            raise InvalidInput("the image is incomplete", code="upload_broken")
        size = int.from_bytes(content[at : at + 4], "big")
        kind = content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + size]
        stated = content[at + 8 + size : at + 12 + size]
        if len(body) != size or zlib.crc32(kind + body).to_bytes(4, "big") != stated:
            raise InvalidInput("the image is damaged", code="upload_broken")
        if is_first:
            if kind != b"IHDR" or size != 13:
                raise InvalidInput("the image is damaged", code="upload_broken")
            _check_pixels(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"))
            is_first = False
        if _MARKUP.search(body[:65_536]) and kind != b"IDAT":
            raise InvalidInput("the image contains a web page", code="upload_active")
        at += 12 + size
        if kind == b"IEND":
            break
    if at != len(content):
        raise InvalidInput("there is data after the end of the image", code="upload_active")


#: Markers of JPEG that carry no length: restarts, start and end.
_BARE = {*range(0xD0, 0xDA), 0x01}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def _check_jpeg(content: bytes) -> None:
    """Segments up to the scan, a frame of a sane size, and the end marker at the end."""
    at, has_frame = 2, False
    while True:
        if at + 4 > len(content) or content[at] != 0xFF:
            raise InvalidInput("the image is damaged", code="upload_broken")
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _BARE:
            raise InvalidInput("the image is damaged", code="upload_broken")
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : at + 2 + size]
        if size < 2 or len(body) != size - 2:
            raise InvalidInput("the image is incomplete", code="upload_broken")
        if _MARKUP.search(body):
            raise InvalidInput("the image contains a web page", code="upload_active")
        if marker in _FRAMES:
            if len(body) < 5:
                raise InvalidInput("the image is damaged", code="upload_broken")
            _check_pixels(int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
            has_frame = True
        at += 2 + size
        if marker == 0xDA:
            break
    end = content.rfind(b"\xff\xd9")
    if not has_frame or end < at:
        raise InvalidInput("the image is incomplete", code="upload_broken")
    if content[end + 2 :].strip(b"\x00") or _has_end_inside(content, at, end):
        raise InvalidInput("there is data after the end of the image", code="upload_active")


def _has_end_inside(content: bytes, start: int, end: int) -> bool:
    """Whether an end marker stands before the last one: in a scan 0xFF is always stuffed."""
    return content.find(b"\xff\xd9", start, end) >= 0


def _check_pixels(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InvalidInput("the image is damaged", code="upload_broken")
    if width * height > PIXELS_MAX:
        raise InvalidInput("the image has too many pixels", code="upload_size")
