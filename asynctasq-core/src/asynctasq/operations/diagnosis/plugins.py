"""Check: the plugins of the driver, of the state store and of the serializer."""

from collections.abc import Sequence

from asynctasq.config import url_scheme
from asynctasq.operations.diagnosis.finding import Finding, ok
from asynctasq.operations.diagnosis.subject import Subject


async def check_plugins(subject: Subject) -> Sequence[Finding]:
    """Load the plugins in use. A broken one raises `PluginError`."""
    settings = subject.settings
    chosen = [("driver", settings.driver), ("driver", settings.state), ("driver", settings.outbox)]
    if settings.serializer_instance is None:
        chosen.append(("serializer", settings.serializer))
    names = dict.fromkeys(
        (kind, url_scheme(value) or value) for kind, value in chosen if isinstance(value, str)
    )
    texts = [_loaded(subject, kind, name) for kind, name in names]
    return [ok("driver", f"{', '.join(texts) or 'instances of the application'} loaded.")]


def _loaded(subject: Subject, kind: str, name: str) -> str:
    entry = subject.plugins.plugin(kind, name).entry
    version = f" {entry.version}" if entry.version else ""
    source = f" ({entry.distribution}{version})" if entry.distribution else ""
    return f"{kind} {name}{source}"
