"""YAML as people write it: safe, strict about repeated keys, and 1e-3 is a number.

Reading constructs plain values only (PyYAML's SafeLoader). Two things differ from
PyYAML: a key given twice is an error instead of a silent loss, and numbers like
``1e-3`` or ``1.5e3``, which YAML 1.1 reads as text, are floats. Writing knows the same
numbers, so that text which looks like one is quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import yaml

from ptutils.errors import FormatError
from ptutils.meta.values import Value

__all__ = ["read_written_yaml", "read_yaml", "write_yaml"]

_FLOAT_TAG = "tag:yaml.org,2002:float"
_MERGE_TAG = "tag:yaml.org,2002:merge"
# The numbers with an exponent that YAML 1.2 has and YAML 1.1 lacks.
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)[eE][-+]?[0-9]+\Z")
_RARE_BREAKS = frozenset("\r\x85\u2028\u2029")
# A config is a page or two; aliases of aliases can unfold to more than memory holds.
_MOST_VALUES = 1_000_000
# The loader in C is recursive and does not look at its stack.
_DEEPEST_IN_C = 250


def read_yaml(text: str, source: str) -> Value:
    r"""Return the one value that ``text`` holds; an empty text holds None.

    Args:
        text: A YAML document.
        source: What the errors call the text, such as a file's name.

    Raises:
        FormatError: If the text is not YAML, repeats a key, unfolds without end, or
            holds several documents or a tag that only code could make. It names the
            line.

    Example:
        >>> read_yaml("lr: 1e-3\nbetas: [0.9, 0.999]", "example")
        {'lr': 0.001, 'betas': [0.9, 0.999]}
    """
    try:
        return _read(_Loader(text))
    except yaml.MarkedYAMLError as error:
        raise _fault(error, text, source) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise FormatError(
            f"cannot read {source}",
            expected="well-formed YAML",
            got=str(error).splitlines()[0],
        ) from error


def read_written_yaml(text: str, source: str) -> Value:
    r"""Return what :func:`read_yaml` does, several times as fast where it can.

    Meant for text that :func:`write_yaml` wrote: libyaml accepts a little less, and a
    little more, than PyYAML does.

    Raises:
        FormatError: As :func:`read_yaml`.

    Example:
        >>> read_written_yaml("lr: 0.001\n", "example")
        {'lr': 0.001}
    """
    try:
        if "\0" not in text and _depth(text) <= _DEEPEST_IN_C:
            return _read(_FastLoader(text))
    except yaml.YAMLError:
        pass  # The other loader says better what is wrong.
    return read_yaml(text, source)


def write_yaml(value: Value) -> str:
    """Return plain ``value`` as the YAML that a person would write.

    Example:
        >>> print(write_yaml({"lr": 0.001, "name": "1e-3"}), end="")
        lr: 0.001
        name: '1e-3'
    """
    text = _written(value, _FastDumper)
    # libyaml escapes what lies past the first 65,536 characters; people read them.
    return _written(value, _Dumper) if "\\U" in text else text


def _written(value: Value, dumper: type[_Dumper | _FastDumper]) -> str:
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=88
    )
    return text


def _read(loader: _Loader | _FastLoader) -> Value:
    node = loader.get_single_node()
    if node is None:
        return None
    loader.check(node)
    return loader.construct_document(node)


def _fault(error: yaml.MarkedYAMLError, text: str, source: str) -> FormatError:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = text.splitlines() or [""]
    content = lines[min(line, len(lines) - 1)]  # The fault may lie past the end.
    indent = content[: len(content) - len(content.lstrip())]
    return FormatError(
        f"cannot read {source}, line {line + 1}",
        expected="well-formed YAML, each key once",
        got=": ".join(filter(None, (error.context, error.problem))),
        fix="indent with spaces instead of tabs"
        if "\t" in indent
        else "mend that line, or the one above",
    )


def _depth(text: str) -> int:
    """Return how deep a text nests, or at least that it is too deep."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


class _Strict(yaml.constructor.SafeConstructor):
    """What both loaders add to the constructor that they share."""

    nan_value = math.nan  # PyYAML's own has the sign bit set on most machines.

    def __init__(self, text: str) -> None:
        super().__init__(text)  # type: ignore[call-arg]  # the loader that follows takes it
        self._sizes: dict[int, int] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Value:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # such as the 13th month
            raise _marked(str(error), node) from error

    def check(self, node: yaml.Node) -> int:
        """Return how many values ``node`` unfolds to; refuse loops and lost keys."""
        size = self._sizes.get(id(node))
        if size == 0:
            raise _marked("an alias inside what it stands for", node)
        if size is None:
            self._sizes[id(node)] = 0  # until it is known: being walked
            size = 1 + sum(self.check(child) for child in self._children(node))
            self._sizes[id(node)] = size
        if size > _MOST_VALUES:
            raise _marked(f"aliases that unfold to over {_MOST_VALUES:,} values", node)
        return size

    def _children(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        if not isinstance(node, yaml.MappingNode):
            return
        lines: dict[Value, int] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE_TAG:
                key = self.construct_object(key_node)
                if key in lines:
                    raise _marked(
                        f"{key!r} again, first on line {lines[key]}", key_node
                    )
                lines[key] = key_node.start_mark.line + 1
            yield key_node
            yield value_node


def _marked(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


class _Loader(_Strict, yaml.SafeLoader):
    pass


class _FastLoader(_Strict, yaml.CSafeLoader):
    pass


class _Natural(yaml.representer.SafeRepresenter):
    """What both dumpers add to the representer that they share."""

    def ignore_aliases(self, data: Value) -> bool:
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Value], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        # Short lists of numbers, which configs are full of, stay on one line.
        is_flat = not any(isinstance(item, dict | list) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style or is_flat)


class _Dumper(_Natural, yaml.SafeDumper):
    pass


class _FastDumper(_Natural, yaml.CSafeDumper):
    pass


def _represent_text(dumper: _Natural, text: str) -> yaml.ScalarNode:
    # PyYAML folds the rarer line breaks into spaces unless they are escaped.
    style = '"' if _RARE_BREAKS & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Natural.add_representer(str, _represent_text)
for _side in (_Loader, _FastLoader, _Dumper, _FastDumper):
    _side.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+0123456789."))
