"""The plugin: named by the entry point, imports its driver only when that is asked for."""

from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import hookimpl
from asynctasq.records import record


@record
class FileStoreSettings:
    path: str = "filestore.state"
    namespace: str = "asynctasq"


@hookimpl
def settings_class(name: str) -> type:
    return FileStoreSettings


@hookimpl
def create_driver(name: str, settings: FileStoreSettings) -> Driver:
    from asynctasq_filestore.driver import FileStoreDriver

    return FileStoreDriver(settings.path, settings.namespace)
