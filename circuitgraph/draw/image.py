"""A picture that somebody gave as evidence, embedded byte by byte: only PNG, JPEG and WebP, told by their own bytes.

An SVG is a program and is never embedded; nor is anything fetched from an address.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from circuitgraph.draw.marks import brief
from circuitgraph.draw.svg import GREY, Markup, clean, shorten, tag, text, wrap
from circuitgraph.errors import ShapeError

__all__ = ["MOST_IMAGE_BYTES", "MOST_IMAGE_PIXELS", "EvidenceImage", "draw_image"]

MOST_IMAGE_BYTES = 1 << 20
MOST_IMAGE_PIXELS = 1 << 24
"""Of one picture, unpacked: a small file may unfold to much."""


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        kind = data[at + 1]
        if kind == 0xFF or kind == 0x01 or 0xD0 <= kind <= 0xD8:  # padding, and markers without a length
            at += 1 if kind == 0xFF else 2
            continue
        # frame headers SOF0 to SOF15, without DHT, JPG and DAC, which lie between them
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    form, body = data[12:16], data[20:]
    if form == b"VP8X" and len(body) >= 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if form == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if form == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _recognise(data: bytes) -> tuple[str, tuple[int, int] | None]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", _png_size(data)
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", _jpeg_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp", _webp_size(data)
    return "", None


@dataclass(frozen=True, slots=True)
class EvidenceImage:
    """A feature visualisation or dataset example that supports a claim.

    Parameters
    ----------
    data
        The file's bytes: PNG, JPEG or WebP, whatever it is called.
    caption
        What it shows, any text.
    source
        Where it is from (a reference, a file's name), any text; shown, never followed.

    Attributes
    ----------
    media_type
        As the bytes say, never as anybody claims.
    width, height
        In pixels.

    Raises
    ------
    ShapeError
        It is no such picture (an SVG, say), or larger than 1 MiB or 16.8 million pixels.
    """

    data: bytes = field(repr=False)
    caption: str = ""
    source: str = ""
    media_type: str = field(init=False, default="")
    width: int = field(init=False, default=0)
    height: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        act = f"embedding a picture of {len(self.data):,} bytes"
        if len(self.data) > MOST_IMAGE_BYTES:
            raise ShapeError(f"{act}: at most {MOST_IMAGE_BYTES:,} are embedded.", hint="Save it smaller, or as JPEG.")
        media_type, size = _recognise(self.data)
        if not media_type:
            begin = self.data[:8].hex(" ") or "-"
            raise ShapeError(
                f"{act}: its bytes are those of no PNG, JPEG or WebP file (they begin {begin}).",
                hint="Convert it; an SVG can hold scripts and is never embedded.",
            )
        if size is None or 0 in size:
            raise ShapeError(f"{act}: the {media_type[6:].upper()} file does not say how large it is; it is cut off.")
        if size[0] * size[1] > MOST_IMAGE_PIXELS:
            raise ShapeError(f"{act}: it unfolds to {size[0]:,} x {size[1]:,}, more than {MOST_IMAGE_PIXELS:,} pixels.")
        for name, value in (("media_type", media_type), ("width", size[0]), ("height", size[1])):
            object.__setattr__(self, name, value)

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` address, which leads nowhere but to its own bytes."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def draw_image(image: EvidenceImage, x: float, y: float, width: float, height: float) -> tuple[Markup, float]:
    """Draw an evidence image in a box of `width` by `height`, its caption and source below.

    Returns
    -------
    parts, height
        And how high it all is.
    """
    caption, source = clean(image.caption), clean(image.source)
    parts = [
        tag("title", brief("; ".join(part for part in (caption, source) if part), 1000) or "Evidence image"),
        tag("rect", x=x, y=y, width=width, height=height, fill="#f2f2f2"),
        tag("image", href=image.uri, x=x, y=y, width=width, height=height, preserveAspectRatio="xMidYMid meet"),
    ]
    at = y + height + 14
    for line in wrap(caption, width, 10.5) if caption else []:
        parts.append(text(line, x, at, 10.5))
        at += 13
    if source:
        parts.append(text(shorten(source, width, 9.5), x, at, 9.5, fill=GREY))
        at += 13
    return tag("g", *parts), at - y
