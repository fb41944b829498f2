"""Text of strangers on a terminal: what names, files and arguments hold must not act on it."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    r"""Text in which each character that is none for print is escaped as in a string of Python: `\x1b`.

    These are controls, line breaks and tabs among them, marks that turn the direction of text or have no
    width, and the bytes of a file's name that are no UTF-8. Characters of `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
