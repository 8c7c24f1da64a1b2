"""Encrypted connections of the AWS client, whose certificates are read in a thread.

The client itself would read them on the event loop, which blocks it for tens of milliseconds. This module imports the
AWS client, so import it in a thread, at the first use.
"""

import ssl
from functools import cache
from pathlib import Path
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import get_cert_path


class LoadedContext(ssl.SSLContext):
    """A context that has read its certificates."""

    loaded: str | None = None
    """The file of certificates."""

    def load_verify_locations(
        self, cafile: Any = None, capath: Any = None, cadata: Any = None
    ) -> None:
        if cafile is None or cafile != self.loaded:
            super().load_verify_locations(cafile, capath, cadata)


@cache
def _context(path: str, changed_at: int) -> LoadedContext:  # noqa: ARG001 - a new file is read again
    context = LoadedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    context.loaded = path
    return context


def http_session_class(bundle: str | None) -> type[Any]:
    """Return the class of HTTP sessions whose connections trust a file of certificates. It may block.

    Args:
        bundle: the file; None for the file that the AWS client brings along.

    Raises:
        OSError: the file cannot be read.
    """
    path = bundle or get_cert_path(True)
    context = _context(path, Path(path).stat().st_mtime_ns)

    class Session(AIOHTTPSession):  # type: ignore[misc]  # the client has no types
        def _get_ssl_context(self) -> ssl.SSLContext:
            return context

    return Session
