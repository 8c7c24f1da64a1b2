"""The parameters of generic models as plain data: `Page[Item]` is encoded as `Page` and `Item`.

A form is the name of a class, None, or a list that begins with a word: `["|", ...]` and `["union", ...]` for
unions, `["[]", origin, ...]` for generic aliases such as `list[int]`, `["typing", name, ...]` for those of
`typing` such as `List[int]`, `["model", origin, ...]` for models with parameters, `["literal", ...]`, `["annotated", form, ...]`, `["any"]` and `["..."]`.
"""

import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt
from asynctasq.serializers.classes import class_name, find_class
from asynctasq.serializers.unserializable import Unserializable, brief

_CLASSES_KEPT = 512
_PARTS_ALLOWED = 64


def parameters_of(cls: Any) -> tuple[type, tuple[Any, ...]] | None:
    """Return the class and the parameters of a parametrized pydantic model; None for any other class."""
    metadata = getattr(cls, "__pydantic_generic_metadata__", None)
    if not isinstance(metadata, dict) or metadata["origin"] is None:
        return None
    return metadata["origin"], metadata["args"]


def forms_of(origin: type, parameters: tuple[Any, ...]) -> list[object]:
    """Return the forms of the parameters of a model.

    Raises:
        Unserializable: a worker could not create one of them.
    """
    try:
        return [_form(each) for each in parameters]
    except Unserializable as error:
        name = origin.__name__
        raise Unserializable(
            f"is a generic model whose parameters cannot be sent: {error.why} Define a subclass at "
            f"the top level of a module, as in `class Mine({name}[...]): ...`, and use that."
        ) from error


def _form(hint: Any) -> object:
    if hint is None or hint is type(None):
        return None
    if hint is Any:
        return ["any"]
    if hint is Ellipsis:
        return ["..."]
    if isinstance(hint, type):
        generic = parameters_of(hint)
        if generic is None:
            return class_name(hint)
        return ["model", class_name(generic[0]), *map(_form, generic[1])]
    origin, parameters = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return ["annotated", _form(parameters[0]), *_metadata(parameters[1:])]
    if origin is Literal:
        return ["literal", *parameters]
    if origin is types.UnionType or origin is Union:
        return ["|" if origin is types.UnionType else "union", *map(_form, parameters)]
    if isinstance(origin, type) and parameters and not any(isinstance(p, list) for p in parameters):
        name = _typing_name(hint, origin)
        words = ["[]", class_name(origin)] if name is None else ["typing", name]
        return [*words, *map(_form, parameters)]
    raise Unserializable(f"{hint!r} is not a class.")


_TYPING = {
    name: origin
    for name in typing.__all__
    if isinstance(origin := getattr(getattr(typing, name), "__origin__", None), type)
}
"""Aliases of `typing` that have parameters, and their classes."""


def _typing_name(hint: Any, origin: type) -> str | None:
    """Return the name of an alias of `typing`; pydantic creates different classes for it and for its origin."""
    name = None if isinstance(hint, types.GenericAlias) else getattr(hint, "_name", None)
    return name if isinstance(name, str) and _TYPING.get(name) is origin else None


def _metadata(values: tuple[object, ...]) -> tuple[object, ...]:
    from asynctasq.serializers.value_path import is_sendable

    if not all(map(is_sendable, values)):
        raise Unserializable(f"the annotations {values!r} cannot be sent.")
    return values


def parametrized(origin: Any, forms: object) -> type:
    """Return a generic model with its parameters.

    Raises:
        BodyCorrupt: the data are not forms.
        ArgumentsMismatch: the model of this worker does not accept them.
    """
    if not isinstance(forms, list):
        raise BodyCorrupt("A generic model has no parameters.")
    parameters = tuple(map(_hint, forms))
    try:
        try:
            return _with_parameters(origin, *parameters)
        except TypeError:  # the parameters may not be hashable
            return _made(origin, *parameters)
    except Exception as error:
        raise ArgumentsMismatch(
            f"The model {origin.__name__} of this worker does not take the parameters of the message: "
            f"{brief(error)}"
        ) from error


def _made(origin: Any, *parameters: Any) -> type:
    made: type = origin[parameters[0] if len(parameters) == 1 else parameters]
    return made


# pydantic forgets a class that is not used, and creates it again in about a millisecond. Typed, because
# `Optional[int]` equals `int | None`, and the classes that they lead to are two.
_with_parameters = lru_cache(maxsize=_CLASSES_KEPT, typed=True)(_made)


def _hint(form: object) -> Any:
    if form is None or isinstance(form, str):
        return form if form is None else find_class(form)
    if not isinstance(form, list) or not form or len(form) > _PARTS_ALLOWED:
        raise BodyCorrupt("The parameters of a generic model are invalid.")
    word, *parts = form
    read = _READ.get(word) if isinstance(word, str) else None
    if read is None:
        raise BodyCorrupt(f"A generic model has a parameter of the unknown kind {word!r}.")
    try:
        return read(parts)
    except (TypeError, ValueError, IndexError) as error:
        raise BodyCorrupt(f"A parameter of a generic model is invalid: {brief(error)}") from error


def _union(parts: list[Any]) -> Any:
    first, *others = map(_hint, parts)
    for each in others:
        first = first | each
    return first


def _alias(parts: list[Any]) -> Any:
    origin, *parameters = map(_hint, parts)
    return types.GenericAlias(origin, tuple(parameters))


def _alias_of_typing(parts: list[Any]) -> Any:
    name, *forms = parts
    if not isinstance(name, str) or name not in _TYPING:
        raise BodyCorrupt(f"A generic model has the unknown parameter {name!r}.")
    return getattr(typing, name)[tuple(map(_hint, forms))]


def _model(parts: list[Any]) -> Any:
    name, *forms = parts
    origin = find_class(name)
    if not isinstance(getattr(origin, "__pydantic_generic_metadata__", None), dict):
        raise BodyCorrupt("A generic model has a parameter that is not a model.")
    return parametrized(origin, forms)


_READ: dict[str, Callable[[list[Any]], Any]] = {
    "any": lambda _: Any,
    "...": lambda _: Ellipsis,
    "|": _union,
    "union": lambda parts: Union[tuple(map(_hint, parts))],  # noqa: UP007  made of values
    "literal": lambda parts: typing.Literal[tuple(parts)],
    "annotated": lambda parts: Annotated[(_hint(parts[0]), *parts[1:])],
    "[]": _alias,
    "typing": _alias_of_typing,
    "model": _model,
}
