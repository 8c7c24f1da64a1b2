"""Tracebacks as users want them: from their own code on, without the frames of asynctasq that called it."""

import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import cast

_OWN_FOLDER = str(Path(__file__).resolve().parent.parent) + os.sep


def traceback_text(exception: BaseException) -> str:
    """Format an exception with its causes and groups, each from the first frame that is not ours."""
    whole = traceback.TracebackException.from_exception(exception)
    waiting = [whole]
    while waiting:
        each = waiting.pop()
        while each.stack and _is_own(each.stack[0].filename):
            del each.stack[0]
        if not each.stack:
            each.stack = cast(
                "traceback.StackSummary", None
            )  # then it is left out with its heading
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
        waiting += each.exceptions or ()
    return "".join(whole.format())


def users_traceback(exception: BaseException) -> TracebackType | None:
    """The traceback of an exception from the first frame that is not ours."""
    trace = exception.__traceback__
    while trace is not None and _is_own(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _is_own(path: str) -> bool:
    return path.startswith(_OWN_FOLDER)
