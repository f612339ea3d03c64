"""Compare names as a reader sees them."""

from __future__ import annotations

import unicodedata

# Cyrillic and Greek letters that look like Latin ones. Source: https://www.unicode.org/reports/tr39/
_LOOK_ALIKES = str.maketrans(
    "авеѕіјкмнорԛгстухԝһԁӏьαβεικνοπρτυχγωı",
    "abesijkmhopqrctyxwhdlbabeikvonptuxywi",
)
_INVISIBLE = {"Cc", "Cf", "Mn"}  # control and format characters, and combining marks


def visible_form(name: str) -> str:
    """Return a text that is equal for names that look alike.

    Case, accents, look-alike letters, the width of letters and white space make no difference.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    letters = unicodedata.normalize("NFKD", folded)
    visible = "".join(one for one in letters if unicodedata.category(one) not in _INVISIBLE)
    return "".join(visible.translate(_LOOK_ALIKES).split())
