"""The error for a value that is not supported, and helpers for its text."""

from asynctasq.errors import NotSerializable


class Unserializable(NotSerializable):
    """A value that is not supported, and its path, to which the caller can add the name of the argument."""

    def __init__(self, why: str, *, path: str = "") -> None:
        super().__init__(f"{path or 'the value'} {why}")
        self.why = why
        self.path = path


def type_label(cls: type) -> str:
    """Return the name of a type for users."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def one_of(cls: type) -> str:
    """Return the name of a type for users, with its article."""
    label = type_label(cls)
    return f"an {label}" if label[0] in "aeiouAEIOU" else f"a {label}"


def no_reference(_: object) -> None:
    """Refer to no model: the `Refer` for values without models."""
    return


def brief(error: BaseException) -> str:
    """Return an exception as one line, even if its `__str__` raises."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - reported in the text
        text = f"its message cannot be shown ({type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
