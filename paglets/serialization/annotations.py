"""From an annotation to its ``Shape``."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import typing
from types import UnionType
from typing import Any, Literal, NewType, TypeVar

import msgspec

from paglets.core.errors import PagletError, SerializationError
from paglets.serialization.dataclass_shapes import fill
from paglets.serialization.hints import field_hints, substitute
from paglets.serialization.mismatch import MismatchError, expected
from paglets.serialization.plain import to_plain
from paglets.serialization.shapes import (
    ANY,
    NONE,
    NULL,
    Shape,
    dict_shape,
    list_shape,
    literal_shape,
    scalar_shape,
    tuple_shape,
)
from paglets.serialization.unions import union_shape

_abc = collections.abc
_LISTS: dict[Any, tuple[type[Any], Any]] = {
    list: (list, list),
    _abc.Sequence: (_abc.Sequence, list),
    _abc.MutableSequence: (_abc.MutableSequence, list),
    _abc.Collection: (_abc.Collection, list),
    _abc.Iterable: (_abc.Iterable, list),
    collections.deque: (collections.deque, collections.deque),
    set: (set, set),
    frozenset: (frozenset, frozenset),
    _abc.Set: (_abc.Set, frozenset),
    _abc.MutableSet: (_abc.MutableSet, set),
}
_DICTS: dict[Any, tuple[type[Any], Any]] = {
    dict: (dict, dict),
    _abc.Mapping: (_abc.Mapping, dict),
    _abc.MutableMapping: (_abc.MutableMapping, dict),
    collections.OrderedDict: (collections.OrderedDict, collections.OrderedDict),
    collections.Counter: (collections.Counter, collections.Counter),
}
_ALL_KINDS = ANY.kinds - NULL.kinds
_dataclass_shapes: dict[tuple[type[Any], tuple[Any, ...]], Shape] = {}


def dataclass_shape(cls: type[Any], arguments: tuple[Any, ...] = ()) -> Shape:
    """Of a dataclass, by field; made once, with all that its fields lead to.

    Raises ``SerializationError`` naming the field when an annotation cannot be honoured.
    """
    key = (cls, arguments)
    made = _dataclass_shapes.get(key)
    if made is not None:
        return made
    under_way: dict[tuple[type[Any], tuple[Any, ...]], Shape] = {}
    shape = _Builder(under_way).by_field(cls, arguments)
    # Only whole sets of shapes become visible: another thread must not see one that is not filled yet.
    _dataclass_shapes.update(under_way)
    return shape


class _Builder:
    def __init__(self, under_way: dict[tuple[type[Any], tuple[Any, ...]], Shape]) -> None:
        self._under_way = under_way

    def by_field(self, cls: type[Any], arguments: tuple[Any, ...]) -> Shape:
        key = (cls, arguments)
        known = _dataclass_shapes.get(key) or self._under_way.get(key)
        if known is not None:
            return known
        shape = Shape(
            name=cls.__qualname__,
            encode=to_plain,
            decode=to_plain,
            kinds=frozenset({dict}),
            accepts=lambda value: isinstance(value, cls),
            by_field=True,
        )
        self._under_way[key] = shape
        _refuse_init_only(cls)
        hints = field_hints(cls, arguments)
        fields: list[tuple[dataclasses.Field[Any], Shape]] = []
        for each in dataclasses.fields(cls):
            try:
                part = self.shape(hints.get(each.name, Any))
                if each.default is None and NONE not in part.kinds:
                    # A default of None says that None is allowed, as it did before annotations could.
                    part = union_shape([part, NULL])
                fields.append((each, part))
            except SerializationError as error:
                raise SerializationError(f"{cls.__qualname__}.{each.name}: {error}") from None
        fill(shape, cls, fields)
        return shape

    def shape(self, hint: Any) -> Shape:
        """Of any annotation."""
        hint = _unwrapped(hint)
        if hint is Any or hint is object or hint is typing.Final:
            return ANY
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Literal:
            return literal_shape(arguments)
        if origin in (typing.Union, UnionType):
            return self._union(arguments)
        cls: Any = NONE if hint is None else origin or hint
        if not isinstance(cls, type):
            raise SerializationError(f"{hint!r} is no annotation that data can be rebuilt from")
        return self._container(hint, cls, arguments) or self._single(cls, arguments)

    def _container(self, hint: Any, cls: type[Any], arguments: tuple[Any, ...]) -> Shape | None:
        name = str(hint) if arguments else cls.__qualname__
        if cls in _LISTS:
            kind, make = _LISTS[cls]
            return list_shape(name, self.shape(arguments[0] if arguments else Any), kind, make)
        if cls in _DICTS:
            return self._dict(name, cls, arguments)
        return self._tuple(name, hint, arguments) if issubclass(cls, tuple) else None

    def _single(self, cls: type[Any], arguments: tuple[Any, ...]) -> Shape:
        scalar = scalar_shape(cls)
        if scalar is not None:
            return scalar
        if _has_own_wire_form(cls):
            return _own_shape(cls)
        if dataclasses.is_dataclass(cls):
            return self.by_field(cls, arguments)
        if issubclass(cls, msgspec.Struct):
            return _struct_shape(cls)
        raise SerializationError(
            f"{cls.__qualname__} cannot be rebuilt from data; use a dataclass, or give it to_wire() and "
            "from_wire()"
        )

    def _dict(self, name: str, cls: type[Any], arguments: tuple[Any, ...]) -> Shape:
        kind, make = _DICTS[cls]
        if cls is collections.Counter and arguments:
            arguments = (*arguments, int)
        key, item = (self.shape(each) for each in arguments or (Any, Any))
        if key is not ANY and key.kinds & {list, dict, bytearray}:
            raise SerializationError(f"{key.name} cannot be a key on the wire; use a single value as the key")
        return dict_shape(name, key, item, kind, make)

    def _tuple(self, name: str, hint: Any, arguments: tuple[Any, ...]) -> Shape:
        if hint is tuple:
            return list_shape(name, ANY, tuple, tuple)
        if isinstance(hint, type) and not arguments:
            named: tuple[str, ...] = getattr(hint, "_fields", ())
            if not named:
                raise SerializationError(f"{name} is a tuple that cannot be rebuilt; use a dataclass")
            hints = typing.get_type_hints(hint)
            return tuple_shape(name, [self.shape(hints.get(each, Any)) for each in named], hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return list_shape(name, self.shape(arguments[0]), tuple, tuple)
        return tuple_shape(name, [self.shape(each) for each in arguments if each != ()])

    def _union(self, arguments: tuple[Any, ...]) -> Shape:
        if Any in arguments or object in arguments:
            return ANY
        shapes = [self.shape(each) for each in arguments if typing.get_origin(each) is not Literal]
        same = frozenset[type[Any]]().union(*(shape.same for shape in shapes))
        for each in arguments:
            if typing.get_origin(each) is Literal:
                values = typing.get_args(each)
                # A literal beside its own type says nothing more.
                if not same.issuperset(map(type, values)):
                    shapes.append(self.shape(each))
        return union_shape(shapes)


def _unwrapped(hint: Any) -> Any:
    """The annotation without what says nothing about its values."""
    while True:
        inner: Any = hint
        if isinstance(hint, NewType):
            inner = hint.__supertype__
        elif isinstance(hint, TypeVar):
            inner = substitute(hint, {})
        elif typing.get_origin(hint) in (typing.Annotated, typing.Final):
            inner = typing.get_args(hint)[0]
        elif not isinstance(hint, type) and hasattr(hint, "__value__"):  # an alias: ``type X = ...``
            inner = hint.__value__
        if inner is hint:
            return hint
        hint = inner


def _refuse_init_only(cls: type[Any]) -> None:
    every: dict[str, dataclasses.Field[Any]] = cls.__dataclass_fields__
    for each in every.values():
        init_only = getattr(each, "_field_type", None) is getattr(dataclasses, "_FIELD_INITVAR", None)
        if init_only and each.default is dataclasses.MISSING:
            raise SerializationError(
                f"{cls.__qualname__}.{each.name}: an InitVar is gone after __init__, so the class cannot be "
                "built again; give it a default"
            )


def _has_own_wire_form(cls: type[Any]) -> bool:
    return callable(getattr(cls, "to_wire", None)) and callable(getattr(cls, "from_wire", None))


def _own_shape(cls: type[Any]) -> Shape:
    """Of a class that knows its wire form: proxies, references, messages, and the author's own."""

    def accepts(value: Any) -> bool:
        return type(value) is cls if dataclasses.is_dataclass(cls) else isinstance(value, cls)

    def encode(value: Any) -> Any:
        if not accepts(value):
            raise expected(cls.__qualname__, value)
        return to_plain(value.to_wire())

    def decode(value: Any) -> Any:
        try:
            return cls.from_wire(value)
        except (PagletError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise MismatchError(
                f"no {cls.__qualname__} can be read: {type(error).__name__}: {error}"
            ) from error

    return Shape(cls.__qualname__, encode, decode, _ALL_KINDS, accepts)


def _struct_shape(cls: type[Any]) -> Shape:
    def encode(value: Any) -> Any:
        if type(value) is not cls:
            raise expected(cls.__qualname__, value)
        return to_plain(msgspec.to_builtins(value, builtin_types=(bytes, bytearray)))

    def decode(value: Any) -> Any:
        try:
            return msgspec.convert(value, cls, builtin_types=(bytes, bytearray), str_keys=True)
        except (msgspec.ValidationError, TypeError) as error:
            raise MismatchError(str(error)) from None

    return Shape(cls.__qualname__, encode, decode, frozenset({dict, list}), lambda value: type(value) is cls)
