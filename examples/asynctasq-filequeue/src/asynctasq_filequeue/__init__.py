"""The plugin: named by the entry point, imports its driver only when that is asked for."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq.records import record


@record
class FileQueueSettings:
    path: str = "filequeue.state"
    namespace: str = "asynctasq"


@hookimpl
def settings_class(name: str) -> type:
    return FileQueueSettings


@hookimpl
def create_driver(name: str, settings: FileQueueSettings) -> Driver:
    from asynctasq_filequeue.driver import FileQueueDriver

    return FileQueueDriver(settings.path, settings.namespace)
