"""The fonts of papers: two faces that are kept with the templates, and which letters they have.

The faces are Liberation Serif (SIL Open Font License, ``investors/papers/fonts/OFL.txt``).  They
are files of ours, so that neither the machine nor an upgrade of the compiler changes how a paper
looks.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import typst

FONTS = Path(__file__).resolve().parent.parent / "papers" / "fonts"
#: Of the table ``cmap``: the Unicode subtable of the Basic Multilingual Plane.
WINDOWS_UNICODE, SEGMENTS = (3, 1), 4


@cache
def load_fonts() -> typst.Fonts:
    """The faces, read once in a process and shared by every compiler."""
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONTS)]
    )


@cache
def covered_signs() -> frozenset[str]:
    """Every sign that all faces have a glyph for."""
    faces = [read_signs(path.read_bytes()) for path in sorted(FONTS.glob("*.ttf"))]
    return frozenset.intersection(*faces)


def find_missing(text: str) -> str:
    """The first sign of a text, in order of code, that a face lacks; empty where it has all."""
    return min(set(text) - covered_signs(), default="")


def read_signs(font: bytes) -> frozenset[str]:
    """The signs of a TrueType font by its table ``cmap`` (OpenType 1.9, subtable of format 4).

    Raises :class:`ValueError` for a font without that subtable.
    """
    tables = struct.unpack_from(">H", font, 4)[0]
    places = {
        font[at : at + 4]: struct.unpack_from(">I", font, at + 8)[0]
        for at in range(12, 12 + 16 * tables, 16)
    }
    cmap = places[b"cmap"]
    for k in range(struct.unpack_from(">H", font, cmap + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", font, cmap + 4 + 8 * k)
        start = cmap + offset
        if (platform, encoding) == WINDOWS_UNICODE and font[start : start + 2] == b"\0\x04":
            return frozenset(_read_segments(font, start))
    raise ValueError("the font has no Unicode table of format 4")


def _read_segments(font: bytes, start: int) -> list[str]:
    """Signs of a subtable of format 4 whose glyph is not the missing one."""
    count = struct.unpack_from(">H", font, start + 6)[0] // 2
    at = start + 14
    ends = struct.unpack_from(f">{count}H", font, at)
    firsts = struct.unpack_from(f">{count}H", font, at + 2 * count + 2)
    deltas = struct.unpack_from(f">{count}H", font, at + 4 * count + 2)
    ranges_at = at + 6 * count + 2
    found = []
    for k, (first, last, delta) in enumerate(zip(firsts, ends, deltas, strict=True)):
        here = ranges_at + 2 * k
        shift = struct.unpack_from(">H", font, here)[0]
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if shift:
                glyph = struct.unpack_from(">H", font, here + shift + 2 * (code - first))[0]
                if not glyph:
                    continue
            if (glyph + delta) & 0xFFFF:
                found.append(chr(code))
    return found
