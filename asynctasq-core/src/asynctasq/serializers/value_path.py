"""The path to the part of an argument that is not supported."""

import threading

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import NotSerializable
from asynctasq.serializers.extension_types import dissect, plain_steps, steps_of
from asynctasq.serializers.unserializable import Unserializable, brief, no_reference, one_of

_NESTING_SEARCHED = 2_000
_NESTING_OF_ATTRIBUTES = 50
_PLAIN = frozenset({type(None), bool, float, bytes})


def locate(value: object, refer: Refer, cause: BaseException) -> Unserializable:
    """Return the error for a value that could not be encoded, with the path to the part at fault."""
    found = _fault_in(value, refer)
    if found is not None:
        return found
    if isinstance(cause, Unserializable):
        return cause
    return Unserializable(f"is nested too deeply to be sent, or too large ({brief(cause)}).")


def travels(value: object) -> bool:
    """Return whether a value can be sent.

    Used for attributes that may be left out; attributes within them are not checked one by one.
    """
    if type(value) in _PLAIN or type(value) is int:
        return True
    if _asking.active:
        return True  # the outer search examines it
    _asking.active = True
    try:
        return is_sendable(value)
    finally:
        _asking.active = False


def is_sendable(value: object) -> bool:
    """Return whether a value can be sent, as far as this is known without a model resolver."""
    return _fault_in(value, no_reference, deepest=_NESTING_OF_ATTRIBUTES) is None


class _Asking(threading.local):
    active = False


_asking = _Asking()


def _fault_in(
    value: object, refer: Refer, *, deepest: int = _NESTING_SEARCHED
) -> Unserializable | None:
    """Find a part that cannot be sent, without recursion, because deep nesting may be the fault."""
    enclosing: set[int] = set()
    pending: list[tuple[str, object, bool]] = [("", value, False)]
    while pending:
        path, part, leaving = pending.pop()
        if leaving:
            enclosing.discard(id(part))
            continue
        if id(part) in enclosing:
            return Unserializable(
                f"is {one_of(type(part))} that contains itself. Pass it without the cycle.",
                path=path,
            )
        if len(enclosing) > deepest:
            return None if deepest == _NESTING_SEARCHED else Unserializable("is nested too deeply.")
        steps, fault = _examine(part, refer)
        if fault is not None:
            return Unserializable(fault.why, path=path + fault.path)
        if steps:
            enclosing.add(id(part))
            pending.append((path, part, True))
            pending.extend((path + step, child, False) for step, child in reversed(steps))
    return None


def _examine(
    part: object, refer: Refer
) -> tuple[list[tuple[str, object]], None] | tuple[None, Unserializable]:
    try:
        return _steps(part, refer), None
    except Unserializable as error:
        return None, error
    except NotSerializable as error:
        return None, Unserializable(f"cannot be sent: {error}")
    except Exception as error:  # noqa: BLE001 - reported
        what = one_of(type(part))
        return None, Unserializable(f"is {what} that failed to be encoded ({brief(error)}).")


def _steps(part: object, refer: Refer) -> list[tuple[str, object]]:
    cls = type(part)
    if cls in _PLAIN or cls is int:
        return []
    if isinstance(part, str) and cls is str:
        if not _is_unicode(part):
            raise Unserializable(
                "is a str with lone surrogates, which is not Unicode text. Pass os.fsencode(...) or "
                "another bytes form of it."
            )
        return []
    if cls is list or cls is dict:
        return plain_steps(part)
    kind, content = dissect(part, refer)
    if isinstance(content, str) and not _is_unicode(content):
        raise Unserializable(
            f"is {one_of(cls)} with bytes that are not Unicode text. Pass os.fsencode(...) of it."
        )
    return steps_of(kind, content)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
