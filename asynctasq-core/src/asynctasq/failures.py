"""Exceptions as stored and logged: type, message, and a traceback that begins in the application."""

import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from asynctasq.settlement import ErrorInfo

MESSAGE_LIMIT_CHARACTERS = 8_192
TRACEBACK_LIMIT_CHARACTERS = 32_768

_LIBRARY = Path(os.__file__).parent
_LEADING = (
    str(Path(__file__).parent) + os.sep,
    "<frozen ",
    str(_LIBRARY / "importlib") + os.sep,
    str(_LIBRARY / "concurrent" / "futures") + os.sep,
)
"""Where frames come from that only lead to the code of the application."""


def error_info(exception: BaseException) -> ErrorInfo:
    """Return an exception as text. Never raises, even if the exception or its class cannot be printed."""
    try:
        message = str.__str__(str(exception))  # of a subclass of str, too
    except BaseException as error:  # noqa: BLE001 - shown in the text
        message = f"<{_name_of(exception, short=True)} whose __str__ raised {_name_of(error)}>"
    try:
        lines = str.__str__(traceback_text(exception))
    except BaseException as error:  # noqa: BLE001 - shown in the text
        lines = f"<no traceback: formatting it raised {_name_of(error)}>"
    return ErrorInfo(
        type=_name_of(exception),
        message=_storable(message, MESSAGE_LIMIT_CHARACTERS),
        traceback=_storable(lines, TRACEBACK_LIMIT_CHARACTERS),
    )


def _name_of(exception: BaseException, *, short: bool = False) -> str:
    """Return the name of the exception's class, with its module unless that is `builtins`."""
    kind = type(exception)
    try:
        name = str.__str__(kind.__qualname__)
        module = kind.__module__
        long_name = name if module == "builtins" else str.__str__(f"{module}.{name}")
    except BaseException:  # noqa: BLE001 - a metaclass may do anything
        return "<an exception whose class has no name>"
    return name if short else long_name


def traceback_text(exception: BaseException, *, keep_lone: bool = False) -> str:
    """Format an exception with its causes and groups, each from the first frame of the application.

    An error that passed through no code of the application is shown without frames, or with all of them if
    `keep_lone`.
    """
    whole = traceback.TracebackException.from_exception(exception)
    waiting = [whole]
    while waiting:
        each = waiting.pop()
        leading = _leading([frame.filename for frame in each.stack])
        if leading < len(each.stack):
            del each.stack[:leading]
        elif not (keep_lone and each.stack):  # then it is left out with its heading
            each.stack = cast("traceback.StackSummary", None)
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
        waiting += each.exceptions or ()
    return "".join(whole.format())


def users_traceback(exception: BaseException) -> TracebackType | None:
    """Return the traceback of an exception from the first frame of the application."""
    trace = _traceback_of(exception)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_LEADING):
        trace = trace.tb_next
    return trace


def _traceback_of(exception: BaseException) -> TracebackType | None:
    """Return the traceback itself, not what the class of the exception makes of that attribute."""
    own: Any = vars(BaseException)["__traceback__"]
    return cast("TracebackType | None", own.__get__(exception))


def _leading(files: list[str]) -> int:
    """Count the frames before the first of the application."""
    return next(
        (number for number, name in enumerate(files) if not name.startswith(_LEADING)), len(files)
    )


def _storable(text: str, limit: int) -> str:
    """Shorten a long text in the middle, and escape lone surrogates, which UTF-8 cannot encode."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
