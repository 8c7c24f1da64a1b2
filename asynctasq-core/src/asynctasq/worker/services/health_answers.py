"""Answers to requests over HTTP: JSON reports, and pages that choose their format."""

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from asynctasq.exposition import Page
from asynctasq.records import record
from asynctasq.worker.health import Report

logger = logging.getLogger("asynctasq")

REQUEST_BYTES = 8192
"""Largest size of request line and headers."""


@record
class Query:
    """What a page may look at in a request."""

    parameters: Mapping[str, str]
    """Of the query string; of a name that is repeated, the last one."""
    accept: str
    """The header `Accept`; empty if there is none."""


class Answers:
    """Answers requests by their paths."""

    def __init__(
        self,
        reports: Mapping[str, Callable[[], Report]],
        pages: Mapping[str, Callable[[Query], Page]],
    ) -> None:
        """Keep reports and pages by path; see `HealthServer`."""
        self._reports = reports
        self._pages = pages

    def answer(self, request: bytes) -> bytes:
        """Return the bytes of the answer to a complete request, or to one that is too long."""
        head, *headers = request.lstrip(b"\r\n").decode("latin-1").splitlines() or [""]
        line = head.split()
        if len(request) > REQUEST_BYTES:
            return _json(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                {"problems": [f"Requests must not be longer than {REQUEST_BYTES} bytes."]},
            )
        if len(line) != 3 or not line[2].startswith("HTTP/1."):
            return _json(HTTPStatus.BAD_REQUEST, {"problems": ["This is not HTTP/1.1."]})
        method, target, _ = line
        if method not in {"GET", "HEAD"}:
            known = {"problems": [f"{method[:20]!r} is not supported. Use GET or HEAD."]}
            return _json(HTTPStatus.METHOD_NOT_ALLOWED, known)
        path, _, query = target.partition("?")
        try:
            return self._found(path.rstrip("/"), query, headers, head=method == "HEAD")
        except Exception:
            logger.exception("Health report %s failed", target)
            problem = {"problems": ["The report failed; the log has the error."]}
            return _json(HTTPStatus.INTERNAL_SERVER_ERROR, problem)

    def _found(self, path: str, query: str, headers: list[str], *, head: bool) -> bytes:
        if path in self._pages:
            parameters = dict(parse_qsl(query, keep_blank_values=True))
            return _response(self._pages[path](Query(parameters, _accept(headers))), head=head)
        if path not in self._reports:
            paths = ", ".join((*self._reports, *self._pages))
            known = {"problems": [f"Not found. The paths are {paths}."]}
            return _json(HTTPStatus.NOT_FOUND, known, head=head)
        content = self._reports[path]()
        code = HTTPStatus.OK if content.get("ok", True) else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(code, content, head=head)


def _accept(headers: list[str]) -> str:
    for each in headers:
        name, _, value = each.partition(":")
        if name.strip().lower() == "accept":
            return value.strip()
    return ""


def json_page(code: HTTPStatus, report: Report) -> Page:
    """Return a page with a JSON document."""
    return Page(code, "application/json", json.dumps(report, default=str).encode() + b"\n")


def _json(code: HTTPStatus, report: Report, *, head: bool = False) -> bytes:
    return _response(json_page(code, report), head=head)


def _response(page: Page, *, head: bool = False) -> bytes:
    lines = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        "Server: asynctasq",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + (b"" if head else page.body)
