"""Tracebacks as users want them: from their own code on, without the frames that only lead there."""

import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, cast

_LIBRARY = Path(os.__file__).parent
_LEADING = (
    str(Path(__file__).parent.parent) + os.sep,
    "<frozen ",
    str(_LIBRARY / "importlib") + os.sep,
    str(_LIBRARY / "concurrent" / "futures") + os.sep,
)
"""Where frames come from that only lead to the code of the application."""


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
