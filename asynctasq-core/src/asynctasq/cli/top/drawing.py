"""Drawing a reading as lines that fit a terminal."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from asynctasq.cli.stats import duration_text
from asynctasq.cli.tables import printable
from asynctasq.cli.times import age, duration
from asynctasq.cli.top.readings import COUNTED, QueueLine, Reading, is_late
from asynctasq.message import id_to_text
from asynctasq.operations.ids import SHORT
from asynctasq.operations.views import worker_of
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities import Snapshot, WorkerInfo

T = TypeVar("T")
GAP = 1
KEYS = "q quit   p pause or resume   ↑ ↓ select"
LEAST_FLEXIBLE = 8
FIXED_LINES = 7
"""Lines of the header, the three titles, the gaps between them, and the footer."""


@record
class Field(Generic[T]):
    """A column of a section. A width of 0 takes the room that is left."""

    title: str
    width: int
    value: Callable[[T], str]
    rank: int = 0
    """Narrow terminals leave out the column with the highest rank first; 0 is always shown."""
    right: bool = False
    flexible: bool = False


def draw(
    reading: Reading, place: str, selected: str | None, note: str, width: int, height: int
) -> list[Text]:
    """Return `height` lines.

    Args:
        reading: of the store.
        place: the store.
        selected: the name of the selected queue.
        note: shown instead of the keys; empty if there is none.
        width: columns of the terminal.
        height: lines of the terminal.
    """
    now = reading.at
    workers, running = reading.workers or (), reading.running or ()
    room = shares(
        max(height - FIXED_LINES, 0), [len(reading.queues), max(len(workers), 1), len(running)]
    )
    names = [each.queue.name for each in reading.queues]
    first = _first_shown(names, selected, room[0])
    lines = [
        _header(reading, place, width),
        *_section(
            _queue_fields(now),
            reading.queues[first : first + room[0]],
            width,
            lambda line: _queue_style(line, is_selected=line.queue.name == selected),
            _count_note(len(names), room[0]),
        ),
        Text(""),
        *_section(
            _worker_fields(now),
            workers[: room[1]],
            width,
            lambda worker: "red" if is_late(worker, now) else "",
            _count_note(len(workers), room[1]),
        ),
    ]
    if not workers and room[1]:
        lines.append(Text("no workers" if reading.workers is not None else "not known", "dim"))
    lines += [
        Text(""),
        *_section(
            _running_fields(now),
            running[: room[2]],
            width,
            lambda _: "",
            _count_note(len(running), room[2], is_partial=reading.is_partial),
        ),
    ]
    lines = lines[: max(height - 1, 0)]
    lines += [Text("")] * (height - 1 - len(lines))
    footer = Text(_fit(f" {printable(note)}" if note else f" {KEYS}", width), "reverse")
    return [*lines, footer]


def shares(room: int, wanted: Sequence[int]) -> list[int]:
    """Divide lines among sections: none gets more than it wants, and the rest is divided equally."""
    given = [0] * len(wanted)
    while room > 0:
        open_ones = [place for place, most in enumerate(wanted) if given[place] < most]
        if not open_ones:
            break
        least = min(open_ones, key=lambda place: given[place])
        given[least] += 1
        room -= 1
    return given


def _first_shown(names: Sequence[str], selected: str | None, room: int) -> int:
    """Return the place of the first queue that is shown, so that the selected one is, too."""
    place = names.index(selected) if selected in names else 0
    return max(0, min(place - room // 2, len(names) - room))


def _header(reading: Reading, place: str, width: int) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(reading.at))
    left = set_cell_size(f"asynctasq top  {printable(place)}", max(width - len(at) - 1, 0))
    return Text(_fit(f"{left} {at}", width), "bold")


def _count_note(number: int, shown: int, *, is_partial: bool = False) -> str:
    return f" ({shown} of {number}{'+' if is_partial else ''})" if shown < number else ""


def _section(
    fields: Sequence[Field[T]],
    items: Sequence[T],
    width: int,
    style: Callable[[T], str],
    note: str,
) -> list[Text]:
    kept, widths = _fitted(fields, width)
    titles = [
        f"{field.title}{note}" if field is kept[0] and note else field.title for field in kept
    ]
    lines = [Text(_line(kept, widths, titles, width), "bold underline")]
    for item in items:
        texts = [printable(field.value(item)) for field in kept]
        lines.append(Text(_line(kept, widths, texts, width), style(item)))
    return lines


def _fitted(fields: Sequence[Field[T]], width: int) -> tuple[list[Field[T]], list[int]]:
    """Choose the columns that fit, and give the rest of the room to the flexible ones."""
    kept = list(fields)

    def needed() -> int:
        return sum(field.width for field in kept) + GAP * (len(kept) - 1)

    while needed() > width and max(field.rank for field in kept) > 0:
        kept.remove(max(kept, key=lambda field: field.rank))
    widths = [field.width for field in kept]
    flexible = [place for place, field in enumerate(kept) if field.flexible]
    for count in range(max(width - needed(), 0)):
        widths[flexible[count % len(flexible)]] += 1
    return kept, widths


def _line(
    fields: Sequence[Field[T]], widths: Sequence[int], texts: Sequence[str], width: int
) -> str:
    cells = []
    for field, most, text in zip(fields, widths, texts, strict=True):
        cut = _fit(text.replace("\n", " "), most)
        padding = " " * (most - cell_len(cut))
        cells.append(f"{padding}{cut}" if field.right else f"{cut}{padding}")
    return set_cell_size((" " * GAP).join(cells), width)


def _fit(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, width - 1).rstrip()}…" if width > 0 else ""


def _queue_fields(now: float) -> list[Field[QueueLine]]:
    return [
        Field("Queue", LEAST_FLEXIBLE, lambda each: each.queue.name, flexible=True),
        Field("Ready", 7, lambda each: _count(each.queue.ready), right=True),
        Field("Scheduled", 9, lambda each: _count(each.queue.scheduled), rank=2, right=True),
        Field("Running", 7, lambda each: _count(each.queue.leased), right=True),
        Field("Dead", 6, lambda each: _count(each.queue.dead), rank=1, right=True),
        Field("Oldest", 6, lambda each: age(each.queue.oldest_ready_at, now), right=True),
        Field("In/min", 6, lambda each: _rate(each.arriving), rank=4, right=True),
        Field("Out/min", 7, lambda each: _rate(each.leaving), rank=3, right=True),
        Field("State", 10, _queue_state),
    ]


def _worker_fields(now: float) -> "list[Field[WorkerInfo]]":
    return [
        Field("Worker", 16, lambda each: each.id, flexible=True),
        Field("Host", 10, lambda each: each.host, rank=3),
        Field("Phase", 8, lambda each: "late" if is_late(each, now) else each.phase),
        Field("Slots", 8, lambda each: f"{each.running}/{each.concurrency}", right=True),
        Field("Lag", 7, lambda each: duration_text(each.loop_lag), rank=2, right=True),
        Field("Seen", 6, lambda each: duration(max(0.0, now - each.seen_at)), rank=1, right=True),
        Field("Queues", 10, lambda each: ", ".join(each.queues), flexible=True),
    ]


def _running_fields(now: float) -> "list[Field[Snapshot]]":
    return [
        Field("Running task", 20, lambda each: each.message.task or "(unreadable)", flexible=True),
        Field("ID", SHORT, lambda each: id_to_text(each.message.id)[-SHORT:]),
        Field("For", 7, lambda each: age(each.leased_at, now), right=True),
        Field("Failed", 6, lambda each: str(each.attempt or ""), rank=2, right=True),
        Field("Queue", 10, lambda each: each.message.queue, rank=1, flexible=True),
        Field("Worker", 16, lambda each: worker_of(each.owner) if each.owner else "", rank=3),
    ]


def _queue_state(line: QueueLine) -> str:
    if line.queue.paused:
        return "paused"
    waiting = line.queue.ready or line.queue.scheduled
    return "no workers" if waiting and line.workers == 0 else ""


def _queue_style(line: QueueLine, *, is_selected: bool) -> str:
    color = {"paused": "yellow", "no workers": "red", "": ""}[_queue_state(line)]
    return f"{color} reverse".strip() if is_selected else color


def _count(number: int) -> str:
    return f"{number:,}+" if number >= COUNTED else f"{number:,}"


def _rate(per_minute: float | None) -> str:
    if per_minute is None:
        return "?"
    if per_minute >= 10_000:
        return f"{per_minute / 1000:,.0f}k"
    return f"{per_minute:,.0f}" if per_minute >= 10 else f"{per_minute:.2g}"
