"""Names of queues in SQS, which allows letters, digits, `-` and `_`, and 80 characters.

Different queues of ours never share a name there: `_` becomes `__`, and `.` becomes `_d`. In a namespace, `-`
becomes `_-`, so that the first single `-` ends it. A queue whose own name ends with `-dead` has that ending
written as `_-dead`, because `-dead` marks the queue of dead letters.
"""

import re
from hashlib import sha256

LONGEST = 80
FIFO = ".fifo"
DEAD = "-dead"
_DIGEST = 16
_GROUP = re.compile(r"[!-~]{1,128}")


def is_fifo(queue: str) -> bool:
    """Return whether a queue, ours or one of SQS, keeps the order of each group."""
    return queue.endswith(FIFO)


def sqs_name(namespace: str, queue: str) -> str:
    """Return the name of a work queue in SQS."""
    ending = FIFO if is_fifo(queue) and queue != FIFO else ""
    text = _escaped(queue.removesuffix(ending))
    if text.endswith(DEAD):
        text = f"{text.removesuffix(DEAD)}_{DEAD}"
    return _fitting(_prefix(namespace) + text, ending)


def dead_name(namespace: str, queue: str) -> str:
    """Return the name of the queue of dead letters of a queue. It is never FIFO."""
    return _fitting(f"{_prefix(namespace)}{_escaped(queue)}{DEAD}", "")


def dead_name_beside(name: str) -> str:
    """Return the name of the queue of dead letters beside a queue that is not named by us."""
    return _fitting(name.removesuffix(FIFO) + DEAD, "")


def group_id(group: str) -> str:
    """Return a group as SQS allows it: at most 128 printable ASCII characters. Others are hashed."""
    return (
        group
        if _GROUP.fullmatch(group)
        else sha256(group.encode(errors="surrogatepass")).hexdigest()
    )


def _prefix(namespace: str) -> str:
    return f"{_escaped(namespace).replace('-', '_-')}-" if namespace else ""


def _escaped(text: str) -> str:
    return text.replace("_", "__").replace(".", "_d")


def _fitting(text: str, ending: str) -> str:
    most = LONGEST - len(ending)
    if len(text) > most:
        digest = sha256(text.encode()).hexdigest()[:_DIGEST]
        text = f"{text[: most - _DIGEST - 1]}-{digest}"
    return text + ending
