"""The error for a value that cannot travel."""

from asynctasq.errors import NotSerializable


class Unserializable(NotSerializable):
    """Says separately where the value sits, so that whoever knows the root can name it."""

    def __init__(self, why: str, *, path: str = "") -> None:
        super().__init__(f"{path or 'the value'} {why}")
        self.why = why
        self.path = path


def type_label(cls: type) -> str:
    """A type as shown to users."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def one_of(cls: type) -> str:
    """An instance of a type as shown to users, with its article."""
    label = type_label(cls)
    return f"an {label}" if label[0] in "aeiouAEIOU" else f"a {label}"


def no_reference(_: object) -> None:
    """The `Refer` for where no model can be referred to."""
    return


def brief(error: BaseException) -> str:
    """An exception in one line, even if it cannot show itself."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - reported in the text
        text = f"its message cannot be shown ({type(broken).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
