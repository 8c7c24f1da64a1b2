"""Values in reports: IDs as UUIDs, records without their defaults, long values shortened."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum

from asynctasq.message import id_to_text

LONGEST = 400
_ID_BYTES = 16
_BYTES_SHOWN = 24


def show(value: object) -> str:
    """`value` for a sentence of a report."""
    text = _shown(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} … {text[-80:]}"


def gave(wanted: str, actual: object) -> str:
    """Return a sentence about an answer that breaks a rule."""
    return f"the contract wants {wanted}, the driver gave {show(actual)}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, Enum):
        return value.name or repr(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple):
        return f"({_joined(value)})"
    if isinstance(value, AbstractSet):
        return f"{{{_joined(sorted(value, key=repr))}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{_joined(value)}]"
    return repr(value)


def _joined(values: Sequence[object]) -> str:
    return ", ".join(map(_shown, values))


def _bytes(value: bytes) -> str:
    """Return an id as users know it, or the beginning of other bytes."""
    if len(value) == _ID_BYTES and value[6] >> 4 == 7 and value[8] >> 6 == 0b10:
        return id_to_text(value)
    if len(value) <= _BYTES_SHOWN:
        return repr(value)
    return f"{value[:_BYTES_SHOWN]!r}… ({len(value):,} bytes)"


def _record(value: object) -> str:
    shown = []
    for field in fields(value):  # type: ignore[arg-type]  # a dataclass, as the caller knows
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        item = getattr(value, field.name)
        if default is MISSING or item != default:
            shown.append(f"{field.name}={_shown(item)}")
    return f"{type(value).__name__}({', '.join(shown)})"
