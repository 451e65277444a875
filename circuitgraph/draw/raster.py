"""Pictures for places that show no SVG: PNG through resvg, and HTML pages that stand alone.

A machine without fonts would draw no letter, so the letters are Source Sans Pro, which comes with the
``draw`` extra; the machine's own fonts are asked only for letters that it lacks. Labels in the scripts
that it has (Latin, Greek, Cyrillic) so give the same bytes on every machine with the same resvg.
"""

from __future__ import annotations

import html
import math
import re
from functools import cache
from pathlib import Path

from circuitgraph.draw.svg import Picture, clean
from circuitgraph.errors import MissingExtraError, PictureError

__all__ = ["LARGEST_PIXELS", "to_html", "to_png"]

LARGEST_PIXELS = 64_000_000
"""Of a PNG; resvg takes four bytes for each while it draws."""

_EXTRA = 'Install what draws PNG: pip install "feature-circuitgraph[draw]". SVG and HTML need nothing.'
_FAMILY = "Source Sans Pro"
_WEIGHTS = ("Regular", "Semibold", "Bold")
_SHEET = f'text, tspan {{ font-family: "{_FAMILY}" }}'
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0; background: #ffffff }}
main {{ overflow-x: auto; padding: 8px }}
svg {{ display: block; margin: 0 auto }}
@media print {{ main {{ padding: 0; overflow: visible }} svg {{ max-width: 100%; height: auto }} }}
</style>
</head>
<body>
<main tabindex="0" aria-label="{title}">
{svg}</main>
</body>
</html>
"""


@cache
def _font_files() -> tuple[str, ...]:
    try:
        import font_source_sans_pro
    except ImportError as error:
        raise MissingExtraError("writing a PNG: the font Source Sans Pro is not installed.", hint=_EXTRA) from error
    folder = Path(str(font_source_sans_pro.__file__)).parent / "files"
    files = [folder / f"SourceSansPro-{weight}.ttf" for weight in _WEIGHTS]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise MissingExtraError(f"writing a PNG: the font's package lacks {', '.join(missing)}.", hint=_EXTRA)
    return tuple(map(str, files))


def to_png(picture: Picture, *, scale: float = 2.0) -> bytes:
    """Return a picture as a PNG file.

    Parameters
    ----------
    picture
        What to draw.
    scale
        Pixels of the PNG for each of the picture's own; 2 is sharp on screens, 4 in print (a picture 720
        pixels wide on 6 inches has then 480 dpi).

    Raises
    ------
    PictureError
        `scale` is not a finite number above 0, or the PNG would have over 64 million pixels.
    MissingExtraError
        resvg-py or the font is not installed.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise PictureError(f"writing a PNG: the scale is {scale}, a finite number above 0 is wanted.")
    pixels = math.ceil(picture.width * scale) * math.ceil(picture.height * scale)
    if pixels > LARGEST_PIXELS:
        most = math.floor(math.sqrt(LARGEST_PIXELS / (picture.width * picture.height)) * 100) / 100
        raise PictureError(
            f"writing a PNG: at scale {scale:g} it has {pixels:,} pixels, at most {LARGEST_PIXELS:,} are drawn.",
            hint=f"Draw it at scale {most:g} or less, or as SVG, which is sharp at every size.",
        )
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError("writing a PNG: resvg-py is not installed.", hint=_EXTRA) from error
    files = list(_font_files())
    try:
        # the style sheet stands above the picture's own list of fonts, which differ from machine to machine
        return bytes(resvg_py.svg_to_bytes(svg_string=picture.svg, zoom=scale, font_files=files, style_sheet=_SHEET))
    except ValueError as error:
        raise PictureError(f"writing a PNG: resvg does not draw this SVG: {error}.") from error


def to_html(picture: Picture, *, title: str = "") -> str:
    """Return a picture as an HTML page that stands alone: no script, and nothing is fetched.

    Parameters
    ----------
    picture
        What to show.
    title
        Any text, for the window's bar; the picture's own title if empty.
    """
    found = _TITLE.search(picture.svg)
    own = html.unescape(found[1]) if found else ""
    return _PAGE.format(title=html.escape(clean(title) or clean(own) or "Picture"), svg=picture.svg)
