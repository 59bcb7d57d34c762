"""Regular expressions as MongoDB (PCRE, in UTF mode) reads them, on Python's ``re``.

Both dialects agree on nearly everything; where they do not, the pattern is rewritten,
or refused where it cannot be: an answer is never silently another one.

Source:
    pcrepattern(3); Python's documentation of ``re``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final

from ptutils.errors import QueryError
from ptutils.meta.values import Value

__all__ = ["compile_regex", "search_of"]

_FLAG_BY_LETTER: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "u": re.NOFLAG,  # UTF is always on.
}
_TOKEN: Final = re.compile(
    r"\\(?:.|$)|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\(\?[imsx]+\)|\(\?[a-zA-Z-]*:|\(\?"
    r"|\{,\d*\}|[\^$#]|[^\\\[(\^$#{]+|.",
    re.DOTALL,
)
_SETS: Final = {
    r"\d": "0-9",
    r"\D": r"\x00-/:-\U0010ffff",
    r"\h": r"\t\x20\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000",
    r"\s": r"\t-\r\x20",
    r"\S": r"\x00-\x08\x0e-\x1f!-\U0010ffff",
    r"\w": "0-9A-Z_a-z",
    r"\W": r"\x00-/:-@\[-^`{-\U0010ffff",
}
"""What the escapes stand for in PCRE, which knows only ASCII here, unlike Python."""

_WORD: Final = f"(?-i:[{_SETS[chr(92) + 'w']}])"
_ESCAPES: Final = {
    **{escape: f"(?-i:[{members}])" for escape, members in _SETS.items()},
    r"\b": f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))",
    r"\B": f"(?:(?<!{_WORD})(?!{_WORD})|(?<={_WORD})(?={_WORD}))",
    r"\Z": r"(?=\n?\Z)",
    r"\z": r"\Z",
}
_UNKNOWN: Final = (r"\u", r"\U", r"\N")
_BESIDE_ESCAPE: Final = re.compile(r"(?<!\\)-\\[dDhsSwW]|\\[dDhsSwW]-")
_CLASS_ESCAPE: Final = re.compile(r"(\\[dDhsSwW])|\\.", re.DOTALL)


def search_of(pattern: re.Pattern[str]) -> Callable[[str], object]:
    """Return the search of a pattern that a caller compiled, in MongoDB's reading."""
    if not isinstance(pattern.pattern, str):
        raise _refusal(pattern.pattern, "a pattern of text, not of bytes")
    letters = "".join(
        letter for letter, flag in _FLAG_BY_LETTER.items() if pattern.flags & flag
    )
    return compile_regex(pattern.pattern, letters)


def compile_regex(pattern: Value, options: Value) -> Callable[[str], object]:
    """Return the search for ``pattern`` in a text.

    Args:
        pattern: In the common part of PCRE and Python.
        options: Letters of ``imsx``, as in ``$options``.

    Raises:
        QueryError: If the pattern is wrong, or means something else in Python.
    """
    if not isinstance(pattern, str):
        raise _refusal(pattern, "$regex as text or a compiled pattern")
    if not isinstance(options, str) or set(options) - set(_FLAG_BY_LETTER):
        raise _refusal(options, "$options made of the letters i, m, s, x")
    if "\0" in pattern:
        raise _refusal(pattern, "a pattern without NUL")
    flags = re.NOFLAG
    for letter in options:
        flags |= _FLAG_BY_LETTER[letter]
    leading = re.match(r"\(\?([imsx]+)\)", pattern)
    if leading:
        for letter in leading[1]:
            flags |= _FLAG_BY_LETTER[letter]
        pattern = pattern[leading.end() :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(_rewrite(pattern, flags), flags).search
    except (re.error, FutureWarning, RecursionError, OverflowError) as error:
        raise _refusal(pattern, "a valid regular expression", str(error)) from error


def _rewrite(pattern: str, flags: re.RegexFlag) -> str:
    return "".join(_rewritten(piece, flags) for piece in _TOKEN.findall(pattern))


def _rewritten(piece: str, flags: re.RegexFlag) -> str:
    if piece in _ESCAPES:
        return _ESCAPES[piece]
    if piece in _UNKNOWN or (piece == "#" and flags & re.VERBOSE):
        raise _refusal(piece, "a construct that PCRE and Python share")
    if piece.startswith("[") and len(piece) > 1:
        return _class(piece)
    if piece.startswith("{,"):
        return "\\" + piece  # Literal in PCRE, a quantifier in Python.
    if piece == "^" and flags & re.MULTILINE:
        return r"(?:\A|^(?!\Z))"  # PCRE: never after the newline that ends the text.
    if _is_option(piece):
        raise _refusal(piece, "options at the start of the pattern or in $options")
    return piece


def _is_option(piece: str) -> bool:
    return piece.startswith("(?") and piece not in ("(?", "(?:")


def _class(piece: str) -> str:
    """Take the escapes out of a class, because case-blindness does not reach them."""
    if "[:" in piece:
        raise _refusal(piece, "no POSIX classes, such as [:alpha:]")
    sets: list[str] = []

    def take(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        sets.append(_SETS[match[1]])
        return ""

    head = "[^" if piece.startswith("[^") else "["
    rest = _CLASS_ESCAPE.sub(take, piece[len(head) : -1])
    if not sets:
        return piece
    if _BESIDE_ESCAPE.search(piece):
        raise _refusal(piece, "'-' in a class as '\\-'")
    found = f"(?-i:[{''.join(sets)}])"
    if head == "[":
        return f"(?:{found}|[{rest}])" if rest else found
    return f"(?:(?!{found})" + (f"[^{rest}])" if rest else r"[\s\S])")


def _refusal(pattern: Value, expected: str, why: str = "") -> QueryError:
    return QueryError(
        "cannot use this regular expression",
        expected=expected,
        got=f"{pattern!r}" + (f": {why}" if why else ""),
    )
