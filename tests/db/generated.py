"""Documents, filters, sorts, projections and updates made by chance, full of traps."""

from __future__ import annotations

import math
import random
import re
from datetime import UTC, datetime

from ptutils.meta.values import Document, Value

NAMES = ("a", "b", "c", "0", "1")
NUMBERS = (
    0,
    1,
    2,
    -1,
    -3,
    1.0,
    0.0,
    -0.0,
    1.5,
    2.5,
    5,
    7,
    math.nan,
    math.inf,
    -math.inf,
)
LARGE = (
    2**31 - 1,
    2**31,
    2**53,
    2**53 + 1,
    2.0**53,
    2**63 - 1,
    -(2**63),
    2.0**63,
    1e300,
)
TEXTS = ("", "a", "b", "ab", "A", "1", "é", "a\nb")
OTHERS = (None, True, False, b"", b"a", b"ab", b"\xff")
DATES = (
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(1969, 1, 1, 0, 0, 0, 5000, tzinfo=UTC),
)
PATTERNS = (
    "a",
    "^a",
    "b$",
    "",
    "A",
    "^.$",
    "é",
    r"\w",
    r"\d",
    "^b",
    "[ab]",
    "a.b",
    r"\bb",
)
TYPES = (
    "double",
    "string",
    "object",
    "array",
    "binData",
    "bool",
    "date",
    "null",
    "int",
)
CODES = ("long", "number", 1, 2, 3, 4, 10, 16, ["int", "array"], ["number", "null"])
MODULI = ([2, 0], [2, 1], [3, -1], [-2, 1], [2.5, 1], [1, 0])
COMPARISONS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
FILTER_DEPTH = 2
FIELD = (*COMPARISONS, *COMPARISONS[2:], "$in", "$nin", "$exists", "$not", "$regex")
MORE = ("$size", "$all", "$elemMatch", "$type", "$mod")
EXPRESSIONS = (*COMPARISONS, *COMPARISONS, "$and", "$or", "$not", "$literal")
UPDATES = ("$set", "$unset", "$inc", "$push", "$addToSet", "$pull")


class Generator:
    """Makes everything about one set of documents, from one random state."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        count = chance.randrange(1, 20)
        self.documents = [{"_id": i, **self.document(3)} for i in range(count)]

    def scalar(self) -> Value:
        kinds = (NUMBERS, NUMBERS, NUMBERS, LARGE, TEXTS, TEXTS, OTHERS, DATES)
        return self.chance.choice(self.chance.choice(kinds))

    def value(self, depth: int) -> Value:
        draw = self.chance.random()
        if depth == 0 or draw < 0.5:
            return self.scalar()
        if draw < 0.75:
            return [self.value(depth - 1) for _ in range(self.chance.randrange(4))]
        return self.document(depth - 1)

    def document(self, depth: int) -> Document:
        names = self.chance.sample(NAMES, self.chance.randrange(4))
        return {name: self.value(depth) for name in names}

    def path(self, names: tuple[str, ...] = NAMES) -> str:
        length = self.chance.choice((1, 1, 1, 2, 2, 3))
        return ".".join(self.chance.choice(names) for _ in range(length))

    def operand(self) -> Value:
        """Return a value of a document, so that something is found, or another one."""
        if self.chance.random() < 0.5:
            return self.value(2)
        found: Value = self.chance.choice(self.documents)
        for _ in range(self.chance.randrange(1, 5)):
            inner = list(found.values()) if isinstance(found, dict) else found
            if isinstance(inner, list) and inner:
                found = self.chance.choice(inner)
        return found

    def pattern(self) -> re.Pattern[str]:
        flags = self.chance.choice((0, re.IGNORECASE, re.MULTILINE))
        return re.compile(self.chance.choice(PATTERNS), flags)

    def expression(self, depth: int) -> Document:
        result: Document = {}
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            name = self.chance.choice((*FIELD, *MORE))
            result[name] = self.argument(name, depth)
        if "$regex" in result and self.chance.random() < 0.4:
            result["$options"] = self.chance.choice(("i", "m", "s", "im", ""))
        return result

    def argument(self, name: str, depth: int) -> Value:
        choice = self.chance.choice
        if name in ("$in", "$nin", "$all"):
            return self.candidates(name, depth)
        if name == "$not":
            is_deep = depth > 0 and self.chance.random() < 0.9
            return self.expression(depth - 1) if is_deep else self.pattern()
        fixed = {
            "$exists": (True, False, 1, 0, None, "", 0.0),
            "$regex": PATTERNS,
            "$size": (0, 1, 2, 3, 1.0),
            "$type": (*TYPES, *CODES),
            "$mod": MODULI,
        }
        if name in fixed:
            return choice(fixed[name])
        return self.element(depth) if name == "$elemMatch" else self.operand()

    def candidates(self, name: str, depth: int) -> list[Value]:
        if name == "$all" and self.chance.random() < 0.2:
            return [{"$elemMatch": self.element(depth)}]
        found = [self.operand() for _ in range(self.chance.randrange(4))]
        return [*found, self.pattern()] if self.chance.random() < 0.1 else found

    def element(self, depth: int) -> Document:
        if depth > 0 and self.chance.random() < 0.5:
            return self.expression(depth - 1)
        return self.filter(max(depth - 1, 0))

    def computed(self, depth: int) -> Value:
        """Return an expression of ``$expr``."""
        draw = self.chance.random()
        if depth == 0 or draw < 0.15:
            return self.constant() if draw < 0.1 else "$" + self.path()
        if draw < 0.2:
            return [self.computed(depth - 1) for _ in range(self.chance.randrange(3))]
        name = self.chance.choice(EXPRESSIONS)
        if name == "$literal":
            return {name: self.operand()}
        if name in COMPARISONS:
            return {name: [self.computed(depth - 1) for _ in range(2)]}
        count = 1 if name == "$not" else self.chance.randrange(3)
        return {name: [self.computed(depth - 1) for _ in range(count)]}

    def constant(self) -> Value:
        found = self.operand()
        return {"$literal": found} if isinstance(found, (dict, list)) else found

    def filter(self, depth: int = FILTER_DEPTH) -> Document:
        result: Document = {}
        for _ in range(self.chance.choice((0, 1, 1, 1, 1, 2, 2))):
            draw = self.chance.random()
            if depth > 0 and draw < 0.2:
                name = self.chance.choice(("$and", "$or", "$nor"))
                parts = range(self.chance.randrange(1, 3))
                result[name] = [self.filter(depth - 1) for _ in parts]
            elif depth == FILTER_DEPTH and draw < 0.25:
                result["$expr"] = self.computed(2)
            elif draw < 0.45:
                result[self.path()] = self.operand()
            elif draw < 0.5:
                result[self.path()] = self.pattern()
            else:
                result[self.path()] = self.expression(depth)
        return result

    def sort(self) -> list[tuple[str, int]]:
        """Return up to two paths and, because ties have no order, the id."""
        paths = dict.fromkeys(self.path() for _ in range(self.chance.randrange(3)))
        return [(path, self.chance.choice((1, -1))) for path in (*paths, "_id")]

    def projection(self) -> Document:
        flag = self.chance.choice((0, 1))
        result: Document = {self.path(): flag for _ in range(self.chance.randrange(3))}
        if self.chance.random() < 0.1:
            result = {"a": {"b": flag, "c": flag}}
        if self.chance.random() < 0.3:
            result["_id"] = self.chance.choice((0, 1))
        return result

    def update(self) -> Document:
        result: Document = {}
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            name = self.chance.choice(UPDATES)
            path = self.path((*NAMES, "2"))
            result.setdefault(name, {})[path] = self.change(name)
        return result

    def change(self, name: str) -> Value:
        draw = self.chance.random()
        if name == "$inc" and draw < 0.9:
            return self.chance.choice(NUMBERS + LARGE)
        if name in ("$push", "$addToSet") and draw < 0.3:
            return {"$each": [self.operand() for _ in range(self.chance.randrange(4))]}
        if name == "$pull" and draw < 0.4:
            return self.expression(1)
        return self.operand()
