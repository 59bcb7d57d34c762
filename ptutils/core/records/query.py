r"""The short text form of a query, compiled to the MongoDB filter it stands for.

The grammar, loosest binding first::

    any    = all ("or" all)*
    all    = one ("and" one)*
    one    = "not" one | "(" any ")" | test
    test   = path ("<" | "<=" | ">" | ">=" | "=" | "==" | "!=") value
           | path ["not"] "in" "[" value, … "]"
           | path ["not"] "exists"
           | path ["not"] "has" value      a list that holds the value
           | path ["not"] "~" value        a regular expression found in a text
    value  = number | true | false | null | word | "text" | 'text' | "[" value, … "]"

A path may be quoted, and ``id`` is the id of a run, which is stored as ``_id``.
``created`` and the times of a status compare with dates: ``'2026-11-01'``,
``'2026-11-01 12:30'`` (UTC unless it says otherwise) and ``'7 days ago'``. Operators
that are words may be written in capitals too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ptutils.errors import QueryError, nearest
from ptutils.meta.values import Document, Value

__all__ = ["parse_query", "stored_path"]

_OPERATORS = {
    "<": "$lt",
    "<=": "$lte",
    ">": "$gt",
    ">=": "$gte",
    "=": "$eq",
    "==": "$eq",
    "!=": "$ne",
}
_WORDS = ("and", "exists", "has", "in", "not", "or")
_AFTER_NOT = ("~", "in", "has", "exists")
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<mark><=|>=|==|!=|[<>=~(),\[\]])
      | (?P<word>[^\s()\[\],<>=!~"']+)
      | (?P<wrong>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_TIMES = {"created", "ended", "expires", "heartbeat", "started"}
_ALMOST_A_DAY = timedelta(days=1, milliseconds=-1)
_AGO = re.compile(r"(\d{1,5})\s*(second|minute|hour|day|week)s?\s+ago")


def parse_query(text: str, *, now: datetime | None = None) -> Document:
    """Compile a short query to the MongoDB filter that it stands for.

    Args:
        text: The query; an empty one finds everything.
        now: The moment that ``'7 days ago'`` counts from; the clock's by default.

    Returns:
        A filter for ``find``.

    Raises:
        QueryError: If the text cannot be read; the message points at the place.

    Example:
        >>> parse_query("config.lr < 0.1 and summary.valid.accuracy.max > 0.9")
        {'config.lr': {'$lt': 0.1}, 'summary.valid.accuracy.max': {'$gt': 0.9}}
        >>> parse_query("status.phase in [failed, lost] or not tags has 'keep'")
        ... # doctest: +NORMALIZE_WHITESPACE
        {'$or': [{'status.phase': {'$in': ['failed', 'lost']}},
                 {'$nor': [{'tags': {'$elemMatch': {'$eq': 'keep'}}}]}]}
    """
    if not isinstance(text, str):
        raise QueryError(
            "cannot read the query",
            expected="a text such as 'config.seed = 1'",
            got=repr(text),
            fix="give a filter document to find(...)" if isinstance(text, dict) else "",
        )
    parser = _Parser(text, now or datetime.now(UTC))
    if parser.token.kind == "end":
        return {}
    try:
        result = parser.parse_any()
    except RecursionError as error:
        raise QueryError("cannot read the query: it is nested too deeply") from error
    if parser.token.kind != "end":
        raise parser.error("'and', 'or' or the end", suggest=("and", "or"))
    return result


def stored_path(path: str) -> str:
    """Return the path under which the database knows what people and JSON name so."""
    return "_id" if path == "id" else path


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str  # text, mark, word, keyword, or end
    value: str
    start: int


class _Parser:
    """Recursive descent over the tokens; one method per rule of the grammar."""

    def __init__(self, text: str, now: datetime) -> None:
        self._text = text
        self._now = now
        self._end = 0
        self.token = _Token(kind="end", value="", start=0)
        self._advance()

    def parse_any(self) -> Document:
        parts = [self._parse_all()]
        while self._take("or"):
            parts.append(self._parse_all())
        return parts[0] if len(parts) == 1 else {"$or": parts}

    def error(
        self,
        expected: str,
        *,
        suggest: tuple[str, ...] = (),
        token: _Token | None = None,
    ) -> QueryError:
        token = token or self.token
        line = re.sub(r"\s", " ", self._text)
        near = nearest(token.value, suggest)
        return QueryError(
            f"cannot read the query\n    {line}\n    {' ' * token.start}^",
            expected=expected,
            got=repr(token.value) if token.value else "the end",
            fix=f"did you mean {near!r}?" if near else "",
        )

    def _advance(self) -> _Token:
        previous = self.token
        match = _TOKEN.match(self._text, self._end)
        if match is None:  # Nothing but spaces is left.
            end = len(self._text.rstrip())
            self.token = _Token(kind="end", value="", start=end)
            return previous
        kind = str(match.lastgroup)
        value, start, self._end = match[kind], match.start(kind), match.end()
        if kind == "word" and value.lower() in _WORDS:
            kind, value = "keyword", value.lower()
        self.token = _Token(kind=kind, value=value, start=start)
        if kind == "wrong":
            if value in "'\"":
                raise self.error(f"a closing {value} for this one")
            raise self.error("a path, an operator or a value")
        return previous

    def _take(self, value: str) -> bool:
        """Step over ``value`` if it is next; quoted text is never an operator."""
        found = self.token.kind in ("mark", "keyword") and self.token.value == value
        if found:
            self._advance()
        return found

    def _parse_all(self) -> Document:
        parts = [self._parse_one()]
        while self._take("and"):
            parts.append(self._parse_one())
        keys = [key for part in parts for key in part]
        if len(keys) > len(set(keys)):
            return {"$and": parts}
        return {key: value for part in parts for key, value in part.items()}

    def _parse_one(self) -> Document:
        if self._take("not"):
            return {"$nor": [self._parse_one()]}
        if self._take("("):
            inner = self.parse_any()
            if not self._take(")"):
                raise self.error("')'")
            return inner
        return self._parse_test()

    def _parse_test(self) -> Document:
        token = self.token
        path = stored_path(_unquote(token)) if token.kind in ("word", "text") else ""
        if not path or path.startswith("$"):
            raise self.error("a path such as config.trainer.seed")
        self._advance()
        is_negated = self._take("not")
        if self._take("exists"):
            return {path: {"$exists": not is_negated}}
        if self._take("has"):
            holds = {"$elemMatch": {"$eq": self._parse_value(path)}}
            return {path: {"$not": holds} if is_negated else holds}
        if self._take("~"):
            found = {"$regex": self._parse_pattern()}
            return {path: {"$not": found} if is_negated else found}
        if is_negated:
            return {path: {"$nin": self._parse_choices(path, _AFTER_NOT)}}
        if self.token.kind == "mark" and self.token.value in _OPERATORS:
            return self._parse_comparison(path)
        known = (*_OPERATORS, *_AFTER_NOT, "not")
        return {path: {"$in": self._parse_choices(path, known)}}

    def _parse_comparison(self, path: str) -> Document:
        operator = _OPERATORS[self._advance().value]
        is_day = bool(re.fullmatch(r"(['\"]?)\d+-\d+-\d+\1", self.token.value))
        value = self._parse_value(path)
        if is_day and isinstance(value, datetime) and operator in ("$eq", "$ne"):
            day = {"$gte": value, "$lte": value + _ALMOST_A_DAY}
            return {path: day if operator == "$eq" else {"$not": day}}
        return {path: value if operator == "$eq" else {operator: value}}

    def _parse_choices(self, path: str, known: tuple[str, ...]) -> list[Value]:
        if not self._take("in"):
            raise self.error(f"one of {' '.join(known)}", suggest=known)
        if self.token.value != "[":
            raise self.error("a list such as [1, 2]")
        choices: list[Value] = self._parse_value(path)
        return choices

    def _parse_value(self, path: str) -> Value:
        token = self.token
        if self._take("["):
            return self._parse_items(path)
        if token.kind not in ("word", "text"):
            raise self.error("a value")
        self._advance()
        value = _scalar(token)
        if not isinstance(value, str) or not _is_time(path):
            return value
        moment = _moment(value, self._now)
        if moment is None:
            expected = "a date such as '2026-11-01', '2026-11-01 12:30', '7 days ago'"
            raise self.error(expected, token=token)
        return moment

    def _parse_items(self, path: str) -> list[Value]:
        items: list[Value] = []
        while not self._take("]"):
            if items and not self._take(","):
                raise self.error("',' or ']'")
            items.append(self._parse_value(path))
        return items

    def _parse_pattern(self) -> str:
        token = self.token
        if token.kind not in ("word", "text"):
            raise self.error("a regular expression in quotes")
        pattern = _unquote(self._advance())
        try:
            re.compile(pattern)
        except re.error as error:
            wanted = f"a regular expression ({error})"
            raise self.error(wanted, token=token) from error
        return pattern


def _unquote(token: _Token) -> str:
    if token.kind == "word":
        return token.value
    # Only quotes and the backslash are escaped, so that "\d+" stays what it looks like.
    return re.sub(r"\\(['\"\\])", r"\1", token.value[1:-1])


def _scalar(token: _Token) -> Value:
    if token.kind == "word":
        if token.value.lower() in _CONSTANTS:
            return _CONSTANTS[token.value.lower()]
        for number in (int, float):
            try:
                return number(token.value)
            except ValueError:
                continue
    return _unquote(token)


def _is_time(path: str) -> bool:
    # A user's own settings and metrics may have such names and hold plain texts.
    is_own = path.startswith(("config.", "summary."))
    return not is_own and path.rpartition(".")[2] in _TIMES


def _moment(text: str, now: datetime) -> datetime | None:
    ago = _AGO.fullmatch(text.strip())
    if ago:
        moment = now - timedelta(**{f"{ago[2]}s": int(ago[1])})
        # Stored moments have whole milliseconds.
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
