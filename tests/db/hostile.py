"""A stored run, changed by chance as somebody hostile might: still plain, all wrong."""

from __future__ import annotations

import copy
import json
import math
import random
from datetime import UTC, datetime
from typing import Final

from blake3 import blake3

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError, DecodeError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.values import Document, Value

Stored = dict[str, list[Document]]
"""The documents of a database by collection."""

CLASSES: Final = (
    "planted.Evil",
    "planted.sub.Evil",
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "builtins.exec",
    "torch.serialization.os.mkdir",
    "torch.hub.load",
    "torch.load",
    "torch.nn.modules.module.torch.load",
    "torch.nn.Module.__init__",
    "ptutils.meta.formats.pickle.load",
    "pickle.loads",
    "torch.nn.Linear",
    "torch.optim.Adam",
    "Session",
    "Trainer",
    "SQLiteInterface",
    "testing.Line",
    "NaNDetector",
    "../planted",
    "planted",
    ".",
    "",
)
TAGS: Final = (
    "tuple", "ref", "int", "dict", "set", "deque", "bytes", "str", "State", "enum",
    "dataclass", "namedtuple", "torch.Tensor", "numpy.ndarray", "torch.Generator",
    "torch.Size", "torch.dtype", "OrderedDict", "defaultdict", "range", "Path",
)  # fmt: skip
TEXTS: Final = (
    "../../etc/passwd", "/etc/passwd", "0" * 64, "x" * 100_000, "\u202e", "\x1b[2J",
    "${dbinterface}", "${a.b}", "float32[1099511627776]", "float32[-1]", "int8[0, 9]",
    "float64[2, 2]", "new", "running", "lost", "100000000 epochs", "1e9 steps",
    "{", "[" * 5000, '{"format":1,"tree":{"is":"ref","to":0}}', "planted:Evil",
    "memory:", "sqlite:/etc/x", "mongodb://user:secret@127.0.0.1:1/x", "0x7fffffff",
)  # fmt: skip
NUMBERS: Final = (
    0, -1, 1, 2, 3, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63), 0.5, -0.0, 1e308,
    math.nan, math.inf, -math.inf,
)  # fmt: skip


def stored(db: DBInterface) -> Stored:
    """Return all documents of a database."""
    return {name: db._find(name, {}) for name in db._collections()}


def hostile(whole: Stored, chance: random.Random) -> Stored:
    """Return a copy that is changed in one to three places."""
    changed = copy.deepcopy(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        documents = changed[chance.choice(list(changed))]
        number = chance.randrange(len(documents))
        documents[number] = _changed(documents[number], chance)
        if chance.random() < 0.8:
            _sign(documents[number])
    return changed


def _sign(document: Document) -> None:
    """Give a State the digest that it has now: it protects from accidents alone."""
    try:
        state, items = document["state"], document["artifacts"]
        digests = [
            each if isinstance(each, str) else blake3(each).hexdigest()
            for each in items
        ]
        text = dumps([state["skeleton"], state["types"], digests])
        state["digest"] = blake3(text.encode()).hexdigest()
    except (KeyError, TypeError, IndexError, DatabaseError):
        pass


def _changed(value: Value, chance: random.Random, depth: int = 0) -> Value:
    """Change one place of a value, more likely a deep one."""
    if isinstance(value, str) and value[:1] in ("{", "[") and chance.random() < 0.9:
        return _changed_text(value, chance)
    is_leaf = not isinstance(value, (dict, list)) or not value
    if is_leaf or (depth and chance.random() < 0.12):
        return _replaced(value, chance)
    if isinstance(value, list):
        return _changed_list(value, chance, depth)
    names = [name for name in value if name != "_id" or chance.random() < 0.1]
    name = chance.choice(names or list(value))
    draw = chance.random()
    if draw < 0.06:
        return {each: inner for each, inner in value.items() if each != name}
    if draw < 0.12:
        extra = chance.choice(
            (*CLASSES, "class", "args", "is", "in", "at", "to", "_ptutils")
        )
        return {**value, _key(extra): _anything(chance)}
    return {**value, name: _changed(value[name], chance, depth + 1)}


def _key(text: str) -> str:
    """Return a key that a database can hold."""
    return text.replace(".", "_").lstrip("$") or "empty"


def _changed_list(value: list[Value], chance: random.Random, depth: int) -> Value:
    index = chance.randrange(len(value))
    draw = chance.random()
    if draw < 0.08:
        return value[:index] + value[index + 1 :]
    if draw < 0.16:
        return [*value, _anything(chance)]
    if draw < 0.2:
        return [value[index]] * 1000
    changed = _changed(value[index], chance, depth + 1)
    return [*value[:index], changed, *value[index + 1 :]]


def _changed_text(text: str, chance: random.Random) -> str:
    """Change JSON in a text, or the text itself."""
    if chance.random() < 0.1:
        place = chance.randrange(len(text))
        return text[:place] + chance.choice('{}[]",:0\\') + text[place + 1 :]
    try:
        return json.dumps(json.loads(dumps(_changed(loads(text), chance, 1))))
    except (DecodeError, ValueError, TypeError, RecursionError):
        return text


def _replaced(value: Value, chance: random.Random) -> Value:
    draw = chance.random()
    if isinstance(value, bytes) and value and draw < 0.6:
        place = chance.randrange(len(value))
        flipped = bytes([value[place] ^ (1 << chance.randrange(8))])
        return chance.choice(
            (value[:place], value[:place] + flipped + value[place + 1 :])
        )
    if isinstance(value, str) and draw < 0.5:
        return chance.choice((*CLASSES, *TAGS))
    if isinstance(value, int) and draw < 0.6:
        return chance.choice(NUMBERS)
    return _anything(chance)


def _anything(chance: random.Random) -> Value:
    deep: Value = 1
    for _ in range(150):
        deep = [deep]
    kinds: tuple[Value, ...] = (
        None, True, {}, [], deep, b"", b"\x80" * 64, {"class": chance.choice(CLASSES)},
        {"class": chance.choice(CLASSES), "args": ["touch mark"]}, {"ref": "trainer"},
        {"is": chance.choice(TAGS), "at": 0}, {"is": "ref", "to": 0},
        datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC),
    )  # fmt: skip
    pool = chance.choice((kinds, NUMBERS, TEXTS, CLASSES, TAGS))
    return copy.deepcopy(chance.choice(pool))
