"""The hard cases of MongoDB's query language, and a program that asks a real mongod.

``python -m tests.db.hard_cases`` writes the answers into ptutils/testing/answers.json,
against which everybody can check a database without a mongod.
"""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pymongo
from bson.codec_options import CodecOptions

from ptutils.meta.codec import dumps
from ptutils.meta.values import Document, Value
from tests.mongod import running_mongod

ANSWERS: Final = (
    Path(__file__).parents[2] / "ptutils" / "testing" / "contract" / "answers.json"
)
NAN, INF = math.nan, math.inf
DAY = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)

VALUES: Final[list[Value]] = [
    None, 0, 1, 2, -1, 5, 1.0, 1.5, 0.0, -0.0, NAN, INF, -INF,
    2**31, 2**53, 2**53 + 1, 2.0**53, 2**63 - 1, -(2**63), 2.0**63, 1e300,
    True, False, "", "a", "ab", "A", "b", "1", "é", "a\nb", b"", b"a", b"ab", b"\xff",
    DAY, LATER, datetime(1969, 12, 31, 23, 59, 59, 5000, tzinfo=UTC),
    [], [1], [1, 2], [2, 1], [1, [2]], [[1, 2]], [[]], [None], ["a", 1], [NAN],
    [0, 5], [1.0, True], [{"b": 1}], [{"b": 1}, {"b": 2}], [{"b": 1, "c": 5}, {"c": 1}],
    [[{"b": 1}]], [1, {"b": 1}], [{"b": [1, 2]}, {"b": []}], [{}], ["", b""],
    {}, {"b": 1}, {"b": 1.0}, {"b": None}, {"b": 1, "c": 2}, {"c": 2, "b": 1},
    {"b": {"c": 1}}, {"b": [1, 2]}, {"b": [{"c": 1}, {"c": 2}]}, {"0": 1},
    {"0": {"b": 1}}, {"b": NAN}, {"b": "a"}, {"b": [[1]]}, {"b": []}, {"b": {}},
]  # fmt: skip
DOCUMENTS: Final[list[Document]] = [
    {"_id": 0},
    *({"_id": i, "a": value} for i, value in enumerate(VALUES, 1)),
    {"_id": 100, "a": 1, "b": 1},
    {"_id": 101, "a": 2, "b": [1, 3]},
    {"_id": 102, "b": {"a": 1}},
    {"_id": 103, "a": None, "b": None},
]


def on(*operands: Value, path: str = "a") -> list[Document]:
    return [{path: operand} for operand in operands]


def by(name: str, *operands: Value, path: str = "a") -> list[Document]:
    return [{path: {name: operand}} for operand in operands]


ORDERED: Final = (
    None, 1, 1.5, NAN, INF, -INF, 2**53 + 1, 2.0**53, 2**63 - 1, "a", "", True, False,
    b"a", DAY, [], [1], [1, 2], {}, {"b": 1},
)  # fmt: skip
FILTERS: Final[dict[str, list[Document]]] = {
    "equality": [
        *on(None, 0, 1, 1.0, -0.0, NAN, INF, 2**53, 2**53 + 1, 2.0**63, True, False),
        *on("", "a", "1", b"", b"a", DAY, [], [1], [1, 2], [[1, 2]], [[]], [None]),
        *on([NAN], [1, True], {}, {"b": 1}, {"c": 2, "b": 1}, {"b": None}, [{"b": 1}]),
        {"a": 1, "b": 1},
        {"none": None},
        {},
    ],
    "paths": [
        *on(1, None, 2, [1, 2], [], "a", NAN, {"c": 1}, path="a.b"),
        *on(1, None, 2, path="a.b.c"),
        *on(1, 2, None, [1, 2], [2], {"b": 1}, path="a.0"),
        *on(1, None, path="a.0.b"),
        *on(1, None, path="a.1"),
        *on(2, None, path="a.b.0"),
        *on(1, None, path="a.0.0"),
        *on(1, path="a.b.0.0"),
    ],
    "not equal": [
        *by("$ne", None, 1, NAN, "a", [], [1, 2], {}, True, 2**53 + 1, DAY),
        *by("$ne", 1, None, path="a.b"),
    ],
    "greater": by("$gt", *ORDERED),
    "greater or equal": by("$gte", *ORDERED),
    "less": by("$lt", *ORDERED),
    "less or equal": by("$lte", *ORDERED),
    "ranges": [
        {"a": {"$gt": 1, "$lt": 2}},
        {"a": {"$gte": 1, "$lte": 1}},
        {"a": {"$gt": 0, "$lt": 5}},
        {"a.b": {"$gt": 1, "$lt": 3}},
        {"a": {"$gt": "a", "$lt": "b"}},
        {"a": {"$gte": DAY, "$lt": LATER}},
        *by("$gt", 1, "", path="a.b"),
        *by("$lte", 1, None, path="a.b"),
    ],
    "in": [
        *by("$in", [], [1], [None], [1, "a", NAN], [[1, 2]], [[]], [{"b": 1}], [True]),
        *by("$nin", [], [1], [None], [1, "a", NAN], [[1, 2]], [[]], [True, 2.0**53]),
        *by("$in", [1, None], [2], path="a.b"),
        *by("$nin", [1, None], [2], path="a.b"),
        *by("$in", 1, None, [{"$gt": 1}]),
    ],
    "existence": [
        *by("$exists", True, False, 0, 1, None, ""),
        *by("$exists", True, False, path="a.b"),
        *by("$exists", True, False, path="a.0"),
        *by("$exists", True, path="a.b.c"),
    ],
    "types": [
        *by("$type", "double", "string", "object", "array", "binData", "bool", "date"),
        *by("$type", "null", "int", "long", "number", 1, 16, ["int", "array"]),
        *by("$type", "text", [], 1.5),
    ],
    "lists": [
        *by("$size", 0, 1, 2, 1.0, -1, 1.5, "1"),
        *by("$all", [1], [1, 2], [], [None], [[1, 2]], ["a", 1], 1, [{"b": 1}]),
        *by("$all", [{"$elemMatch": {"b": 1}}, {"$elemMatch": {"c": 1}}]),
        *by("$elemMatch", {"b": 1}, {"$gt": 1}, {"$gt": 0, "$lt": 2}, {}, {"c": None}),
        *by("$elemMatch", {"b": {"$gt": 1}}, {"$elemMatch": {"$eq": 2}}, {"0": 1}, 1),
        *by("$elemMatch", {"$or": [{"b": 2}, {"c": 5}]}, {"$not": {"$gt": 1}}),
        *by("$size", 2, path="a.b"),
        *by("$elemMatch", {"c": 2}, path="a.b"),
    ],
    "arithmetic": [
        *by("$mod", [2, 0], [2, 1], [3, -1], [2.5, 1], [1, 0], [-2, 1], [0, 1], [2]),
        *by("$mod", [2, 1], path="a.b"),
    ],
    "patterns": [
        *by("$regex", "a", "^a", "b$", "", "^.$", "é", r"\w", "A"),
        {"a": {"$regex": "A", "$options": "i"}},
        {"a": {"$regex": "^b", "$options": "m"}},
        {"a": {"$regex": "a.b", "$options": "s"}},
        {"a": {"$regex": "a", "$gt": "aa"}},
        {"a": {"$options": "i"}},
        *by("$regex", 1, "("),
        *by("$regex", "a", path="a.b"),
    ],
    "logic": [
        {"$and": [{"a": 1}, {"a": 2}]},
        {"$or": [{"a": 1}, {"b": 1}]},
        {"$nor": [{"a": None}, {"a.b": 1}]},
        {"$or": [{"$and": [{"a": {"$gt": 0}}, {"b": 1}]}, {"a": "b"}]},
        {"$and": []},
        {"$or": [1]},
        *by("$not", {"$gt": 1}, {"$eq": None}, {"$exists": True}, {"$regex": "a"}),
        *by("$not", {"$not": {"$gt": 1}}, {}, 1, {"$elemMatch": {"b": 1}}),
        *by("$not", {"$gt": 1}, {"$size": 2}, path="a.b"),
        {"$not": {"a": 1}},
        *by("$gtt", 1),
        {"a": {"$gt": 1, "b": 2}},
    ],
    "expressions": [
        *by(
            "$eq", *(["$a", v] for v in (1, None, "$b", "$none", [1, 2])), path="$expr"
        ),
        *by(
            "$gt", *(["$a", v] for v in (1, NAN, "a", None, "$b", "$_id")), path="$expr"
        ),
        *by(
            "$lte", *(["$a.b", v] for v in (1, None, [1], "$a.c", "$a.0")), path="$expr"
        ),
        *by(
            "$ne", ["$b", "$none"], ["$a", 2**53 + 1], ["$a.b.c", [1, 2]], path="$expr"
        ),
        *by("$lt", ["$a", {"$literal": "$b"}], ["$a", True], ["$a"], path="$expr"),
        *by("$not", "$a", ["$a"], [{"$gte": ["$a", 1]}], ["$a", 1], path="$expr"),
        *by("$and", ["$a", "$b"], [], "$a", path="$expr"),
        *by("$or", [{"$eq": ["$a", 1]}, {"$gt": ["$_id", 99]}], [], path="$expr"),
        *on("$a", "$a.b", 1, 0, NAN, None, "", [], "$", "$a..b", path="$expr"),
        *on({"$eqq": ["$a", 1]}, {"$eq": ["$a", 1], "$gt": ["$a", 0]}, path="$expr"),
        {"$or": [{"$expr": {"$gt": ["$b", "$a"]}}, {"a": 5}]},
        {"a": {"$elemMatch": {"$expr": {"$eq": ["$b", 1]}}}},
        {"a": 1, "$expr": {"$gte": ["$_id", 50]}},
    ],
}
WINDOWS: Final[list[Document]] = [
    {"sort": [("a", 1)]},
    {"sort": [("a", -1)]},
    {"sort": [("a.b", 1), ("_id", -1)]},
    {"sort": [("a.b", -1), ("_id", 1)]},
    {"sort": [("a.0", 1), ("_id", 1)]},
    {"sort": [("b", 1), ("a", -1)], "filter": {"b": {"$exists": True}}},
    {"sort": [("a", 1), ("_id", 1)], "skip": 7, "limit": 9},
    {"sort": [("a", -1), ("_id", 1)], "skip": 60, "limit": 30},
    {"filter": {"a": {"$gt": 0}}, "sort": [("a", 1), ("_id", -1)], "limit": 5},
    {"skip": 3, "limit": 4},
    {"sort": [("a", 2)]},
    {"sort": [("a..b", 1)]},
    *({"projection": shown} for shown in (
        {"b": 1}, {"b": 0}, {"a.b": 1}, {"a.b": 0}, {"a.b": 1, "_id": 0}, {"_id": 1},
        {"_id": 0}, {"a.b.c": 1}, {"a.b.c": 0}, {"a.0": 1}, {"a": {"b": 1}}, ["a.c"],
        {"a": 1, "b": 0}, {"a": 1, "a.b": 1}, {"a": True, "b": 1.5}, {"$a": 1},
    )),
]  # fmt: skip
STARTS: Final[list[Document]] = [
    {},
    {"a": 1},
    {"a": 1.5},
    {"a": "text"},
    {"a": None},
    {"a": [1, 2, 1.0, 3]},
    {"a": [{"b": 1}, {"b": 2, "c": 1}, 5]},
    {"a": {"b": 1, "c": [1]}},
    {"a": 2**63 - 1},
    {"a": []},
]
UPDATES: Final[list[Document]] = [
    {"$set": {"a": 2}},
    {"$set": {"a.b": 2}},
    {"$set": {"a.1": 2}},
    {"$set": {"a.6": 2}},
    {"$set": {"z": 1, "b": 2, "10": 3, "9": 4}},
    {"$unset": {"a": 1}},
    {"$unset": {"a.b": 1}},
    {"$unset": {"a.0": 1}},
    {"$inc": {"a": 1}},
    {"$inc": {"a": 0.5}},
    {"$inc": {"a.b": -1}},
    {"$inc": {"a": "1"}},
    {"$push": {"a": 1}},
    {"$push": {"a": {"$each": [1, [2]]}}},
    {"$push": {"a.c": {"x": 1}}},
    {"$addToSet": {"a": 1}},
    {"$addToSet": {"a": {"$each": [1.0, 4, 4]}}},
    {"$pull": {"a": 1}},
    {"$pull": {"a": {"$gte": 2}}},
    {"$pull": {"a": {"b": 1}}},
    {"$set": {"a": 1}, "$inc": {"a": 1}},
    {"$set": {"a": 1, "a.b": 2}},
    {"$set": {"_id": 5}},
    {"$set": {}},
    {"$set": {"": 1}},
]
UPSERTS: Final[list[tuple[Document, Document]]] = [
    ({"_id": 1, "a": 1}, {"$set": {"b": 2}}),
    ({"_id": 1, "a.b": 1}, {"$set": {"a.c": 2}}),
    ({"_id": 1, "a": {"$eq": [1]}}, {"$push": {"a": 2}}),
    ({"_id": 1, "a": {"$gt": 1}}, {"$inc": {"n": 1}}),
    ({"_id": 1, "a": {"$in": [3]}}, {"$set": {"b": 1}}),
    ({"_id": 1, "a": {"$in": [3, 4]}}, {"$set": {"b": 1}}),
    ({"_id": 1, "a": {"$all": [3]}}, {"$set": {"b": 1}}),
    ({"$and": [{"_id": 1}, {"a": 2}]}, {"$set": {"b": 1}}),
    ({"$or": [{"_id": 1}, {"_id": 2}]}, {"$set": {"_id": 7}}),
    ({"_id": 1, "a": 1}, {"$set": {"a": 2}}),
    ({"_id": 1, "a": 1}, {"$push": {"a": 2}}),
    ({"_id": 1, "a": 1, "a.b": 2}, {"$set": {"c": 2}}),
    ({"_id": 1, "$and": [{"a": 1}, {"a": 2}]}, {"$set": {"c": 2}}),
]


def asked(collection: Any, answer: Any) -> Value:
    """Return an answer, or None where mongod refuses the question."""
    try:
        return answer(collection)
    except (pymongo.errors.OperationFailure, pymongo.errors.WriteError, TypeError):
        return None
    except ValueError:  # pymongo refuses it before the server does.
        return None


def filtered(collection: Any) -> Document:
    return {
        group: [
            [
                filter,
                asked(collection, lambda c, f=filter: [d["_id"] for d in c.find(f)]),
            ]
            for filter in filters
        ]
        for group, filters in FILTERS.items()
    }


def windowed(collection: Any) -> list[Value]:
    return [[window, asked(collection, lambda c, w=window: list(c.find(**w)))]
            for window in WINDOWS]  # fmt: skip


def updated(collection: Any) -> list[Value]:
    def change(_: Any, start: Document, update: Document) -> Document:
        collection.drop()
        collection.insert_one({"_id": 1, **start})
        collection.update_one({}, update)
        found: Document = collection.find_one()
        return found

    return [
        [start, update, asked(collection, lambda c, s=start, u=update: change(c, s, u))]
        for update in UPDATES
        for start in STARTS
    ]


def upserted(collection: Any) -> list[Value]:
    def upsert(_: Any, filter: Document, update: Document) -> Document:
        collection.drop()
        collection.update_one(filter, update, upsert=True)
        found: Document = collection.find_one()
        return found

    return [
        [
            filter,
            update,
            asked(collection, lambda c, f=filter, u=update: upsert(c, f, u)),
        ]
        for filter, update in UPSERTS
    ]


def answers(client: pymongo.MongoClient) -> Document:
    """Ask everything; the client's server is used under a name of its own."""
    options: CodecOptions[Any] = CodecOptions(tz_aware=True, tzinfo=UTC)
    database = client.get_database("ptutils_hard_cases")
    collection = database.get_collection("c", codec_options=options)
    collection.drop()
    collection.insert_many(DOCUMENTS)
    try:
        return {
            "mongod": client.server_info()["version"],
            "documents": DOCUMENTS,
            "filters": filtered(collection),
            "windows": windowed(collection),
            "updates": updated(collection),
            "upserts": upserted(collection),
        }
    finally:
        client.drop_database(database)


def written(answers: Document) -> str:
    """Return the answers as JSON text, one case a line."""
    parts = []
    for name, part in answers.items():
        if isinstance(part, dict):
            rows = ",\n".join(
                f"{dumps(group)}:[\n" + ",\n".join(map(dumps, cases)) + "\n]"
                for group, cases in part.items()
            )
            parts.append(f"{dumps(name)}:{{\n{rows}\n}}")
        elif isinstance(part, list):
            rows = ",\n".join(map(dumps, part))
            parts.append(f"{dumps(name)}:[\n{rows}\n]")
        else:
            parts.append(f"{dumps(name)}:{dumps(part)}")
    return "{" + ",\n".join(parts) + "}\n"


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        running_mongod(Path(folder)) as server,
        pymongo.MongoClient(server.url, tz_aware=True) as client,
    ):
        ANSWERS.write_text(written(answers(client)))
