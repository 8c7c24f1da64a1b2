"""Driver URLs: the plugins that they name, and their text without secrets."""

import re
from urllib.parse import unquote

MASK = "***"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET_WORD = re.compile(
    r"pass(word|wd|phrase)?|pwd|secret|token|credential|api_?key|access_?key", re.IGNORECASE
)
_HOST = r"(?:[^:@/?#\[\],]*|\[[^\]]*\])(?::\d*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*(?=[/?#]|$)")
_PARAMETER = re.compile(r"(?:^|[?&;\s])([^=?&;\s]+)=([^&;\s]*)")


def url_scheme(text: str) -> str | None:
    """Return the scheme of a URL in lower case; None if `text` is not a URL."""
    found = _SCHEME.match(text)
    return found[1].lower() if found else None


def looks_secret(name: str) -> bool:
    """Return whether the value of a setting or parameter of this name is a secret."""
    return _SECRET_WORD.search(name) is not None


def mask_url(url: str) -> str:
    """Return `url` with `***` for every password and every parameter whose name suggests a secret.

    Passwords are often pasted without being percent-encoded. Where `@`, `/`, `?` or `#` leave room
    for doubt, too much is masked rather than too little.
    """
    masked = url
    for start, end in reversed(_secret_spans(url)):
        masked = masked[:start] + MASK + masked[end:]
    return masked


def mask_in(text: str, url: str) -> str | None:
    """Return `text`, a message about `url`, with the URL masked; None if a secret would still show."""
    masked = text.replace(url, mask_url(url))
    secrets = {url[start:end] for start, end in _secret_spans(url) if end > start}
    secrets |= {unquote(secret) for secret in secrets}
    return None if any(secret in masked for secret in secrets) else masked


def _secret_spans(url: str) -> list[tuple[int, int]]:
    """Return the positions of the secrets in `url`, in order, not overlapping."""
    spans: list[tuple[int, int]] = []
    found = _SCHEME.match(url)
    rest = found.end() if found else 0
    at = url.rfind("@")
    colon = url.find(":", rest)
    if rest <= colon < at and url[rest] != "/":
        spans.append((colon + 1, at))
        rest = at
    elif at < 0 and colon >= 0 and not _HOSTS.match(url, rest):
        return [(colon + 1, len(url))]  # a password, it seems, behind which the host is missing
    spans.extend(
        parameter.span(2)
        for parameter in _PARAMETER.finditer(url, rest)
        if looks_secret(parameter[1]) and parameter[2]
    )
    return spans
