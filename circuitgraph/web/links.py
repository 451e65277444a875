"""References as links: only what surely is an address on the web or a DOI; anything else stays text."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

__all__ = ["web_link"]

# strangers' text: no spaces, quotes, brackets, backslashes, nor characters that are not seen
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-]+(?::\d{1,5})?(?:[/?#][!#-;=?-\[\]_a-z~]*)?")
_DOI = re.compile(r"(?:doi:\s?|DOI:\s?)?(?P<doi>10\.\d{4,9}/[!#-;=?-Z_a-z~]+)")
_LONGEST = 2_000


def web_link(text: str) -> str:
    """Return the address that a reference may link to; empty where it is none.

    Examples
    --------
    >>> web_link("10.23915/distill.00024.001")
    'https://doi.org/10.23915/distill.00024.001'
    >>> web_link("javascript:alert(1)"), web_link("see https://a.example")
    ('', '')
    """
    if len(text) > _LONGEST:
        return ""
    if found := _DOI.fullmatch(text):
        return f"https://doi.org/{quote(found['doi'], safe='/.:;()-_')}"
    if not _ADDRESS.fullmatch(text):
        return ""
    try:
        return text if urlsplit(text).hostname else ""
    except ValueError:
        return ""
