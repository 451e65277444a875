"""SVG text, built so that no label can become markup and the same data give the same bytes."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from circuitgraph.errors import DiskFullError, MissingFileError, PictureError

__all__ = ["FONT", "GREY", "INK", "Markup", "Picture", "clean", "number", "shorten", "signed", "tag", "text", "wrap"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
INK = "#1a1a1a"
GREY = "#595959"

# control characters, lone surrogates and non-characters are not XML; direction marks could turn a label round
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Markup(str):
    """Text that is SVG already; any other `str` is escaped when it becomes part of a tag."""

    __slots__ = ()


def clean(label: str) -> str:
    """Drop from a label what is not text, and make each run of white space one space."""
    return " ".join(_UNSAFE.sub("", label).split())


def number(value: float) -> str:
    """Write a coordinate with at most two decimals."""
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def signed(value: float, digits: int = 2) -> str:
    """Write a weight with its sign, in `digits` significant digits; zero has none.

    Examples
    --------
    >>> signed(0.1234), signed(-12345.0), signed(0.0)
    ('+0.12', '−12000', '0')
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    size = abs(rounded)
    if 1e-4 <= size < 1e6:
        decimals = max(0, digits - 1 - int(f"{size:e}".split("e")[1]))
        written = f"{size:.{decimals}f}"
    else:
        written = f"{size:.{digits - 1}e}"
    return ("+" if rounded > 0 else "−") + written.replace("e-", "e−")


def shorten(label: str, width: float, size: float) -> str:
    """Cut a label so that it takes about `width` pixels in letters of `size` pixels."""
    # 0.56 em is the mean advance of the stack's fonts; a bold one takes more, which callers allow for
    room = max(1, int(width / (0.56 * size)))
    return label if len(label) <= room else label[: room - 1].rstrip() + "…"


def wrap(label: str, width: float, size: float, lines: int = 2) -> list[str]:
    """Break a label into at most `lines` lines of about `width` pixels, the last one cut if need be."""
    room = max(1, int(width / (0.56 * size)))
    out = [""]
    for word in label.split():
        joined = f"{out[-1]} {word}".strip()
        if len(joined) <= room or not out[-1] or len(out) == lines:
            out[-1] = joined
        else:
            out.append(word)
    return [shorten(line, width, size) for line in out]


@cache
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return one element.

    Parameters
    ----------
    name
        The element's name.
    *children
        `Markup` as it is, other text escaped.
    **attributes
        ``stroke_width=2`` is written ``stroke-width="2"``; numbers through `number`; None is left out.
    """
    written = "".join(
        f" {_attribute(key)}={quoteattr(_UNSAFE.sub('', value))}"
        if isinstance(value, str)
        else f' {_attribute(key)}="{number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(child if isinstance(child, Markup) else escape(clean(child)) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>")


def text(label: str, x: float, y: float, size: float, *, fill: str = INK, **attributes: str | float | None) -> Markup:
    """Return a line of selectable text."""
    return tag("text", label, x=x, y=y, font_size=size, fill=fill, **attributes)


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished drawing; notebooks show it by itself.

    Parameters
    ----------
    svg
        The whole file, one ``svg`` element.
    width, height
        In pixels at its natural size.
    """

    svg: str
    width: float
    height: float

    @classmethod
    def compose(cls, parts: list[Markup], *, width: float, height: float, title: str, desc: str) -> Picture:
        """Put the parts on a white ground, so that they read on a dark page too, with a title and description."""
        body = "\n".join(parts)
        # several pictures may stand in one page, where ids must differ
        mark = hashlib.sha256(f"{title}\n{desc}\n{body}".encode("utf-8", "replace")).hexdigest()[:8]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
            f'viewBox="0 0 {number(width)} {number(height)}" role="img" aria-labelledby="t{mark} d{mark}" '
            f'font-family="{FONT}">'
        )
        lines = [
            head,
            tag("title", title, id=f"t{mark}"),
            tag("desc", desc, id=f"d{mark}"),
            tag("rect", width=width, height=height, fill="#ffffff"),
            body,
            "</svg>",
        ]
        return cls("\n".join(lines) + "\n", width, height)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file and return its path.

        Parameters
        ----------
        path
            Its ending says the format: .svg, .png (at twice the picture's size; `circuitgraph.draw.to_png`
            makes others), or .html, a page that stands alone.

        Raises
        ------
        PictureError
            The path ends otherwise.
        MissingExtraError
            What draws PNG is not installed.
        MissingFileError
            The folder is not there.
        DiskFullError
            The file cannot be written.
        """
        # they build on this module
        from circuitgraph.draw.raster import to_html, to_png

        target = Path(path)
        ending = target.suffix.lower()
        if ending == ".svg":
            content = self.svg.encode()
        elif ending == ".png":
            content = to_png(self)
        elif ending == ".html":
            content = to_html(self).encode()
        else:
            raise PictureError(
                f"writing a picture to {target}: it ends in {ending or 'nothing'}, .svg, .png or .html is wanted.",
                hint=f"Name it {target.stem}.svg, {target.stem}.png or {target.stem}.html.",
            )
        try:
            target.write_bytes(content)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFileError(
                f"writing a picture to {target}: {error.strerror}.", hint=f"Make the folder: mkdir -p {target.parent}"
            ) from error
        except OSError as error:
            raise DiskFullError(f"writing a picture to {target}: {error.strerror}.") from error
        return target
