"""Reading what the explorer answers as a browser would, for what should not be there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit
from xml.etree import ElementTree

# what templates and drawings are made of
TAGS = frozenset(re.findall("[a-z0-9]+", """
    a aside bdi body br button caption circle clippath code datalist dd defs desc details div dl dt
    fieldset figcaption figure footer form g h1 h2 h3 h4 head header html image img input label legend
    li line link main marker meta nav ol optgroup option p path pattern polygon polyline pre rect script
    section select small span strong style summary svg table tbody td text textarea th thead title tr
    tspan ul use
"""))  # fmt: skip
LINKS = ("href", "src", "action", "formaction", "xlink:href", "srcset", "poster", "data", "background", "ping")


class Reader(HTMLParser):
    """Gathers tags, addresses and text of a page, and all that could run or be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag not in TAGS:
            self.faults.append(f"<{tag}>")
        if tag == "script" and not re.fullmatch(r"/static/[a-z]+\.js", given.get("src", "")):
            self.faults.append(f"a script: {given}")
        if tag == "style" or (tag == "meta" and "http-equiv" in given):
            self.faults.append(f"<{tag}> {given}")
        for name, value in given.items():
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.faults.append(f"{name}={value}")
            if name in LINKS:
                self._look_at(tag, name, value, given)
        if tag == "script":
            self.inside.append(tag)

    def _look_at(self, tag: str, name: str, value: str, given: dict[str, str]) -> None:
        address = urlsplit(value)
        if value.startswith("#"):
            return
        if address.scheme or address.netloc:
            is_link_out = tag == "a" and address.scheme in ("http", "https") and "noopener" in given.get("rel", "")
            is_picture = tag in ("img", "image") and value.startswith("data:image/png;base64,")
            if not (is_link_out or is_picture):
                self.faults.append(f"{tag} {name}={value}")
        elif not value.startswith("/"):
            self.faults.append(f"{tag} {name}={value}")
        elif tag == "a" and name == "href":
            self.links.append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.inside.clear()

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.faults.append(f"inside a script: {data}")
        self.text.append(data)


def read_page(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def faults_of_picture(svg: str) -> list[str]:
    """Return what of a picture could run or be loaded from elsewhere; what is no XML is an error."""
    faults = []
    if "<!DOCTYPE" in svg or "<!ENTITY" in svg or svg.count("<?xml") > 1 or "<?xml-stylesheet" in svg:
        faults.append("a doctype, an entity or a stylesheet")
    for element in ElementTree.fromstring(svg).iter():
        name = str(element.tag).rpartition("}")[2]
        if name.lower() not in TAGS or name in ("script", "foreignObject", "iframe", "style", "a", "set", "animate"):
            faults.append(f"<{name}>")
        for key, value in element.attrib.items():
            own = key.rpartition("}")[2].lower()
            if own.startswith("on") or own == "style":
                faults.append(f"{key}={value}")
            if own == "href" and not value.startswith(("#", "data:image/png;base64,")):
                faults.append(f"{key}={value}")
            if "url(" in value and not value.startswith("url(#"):
                faults.append(f"{key}={value}")
    return faults
