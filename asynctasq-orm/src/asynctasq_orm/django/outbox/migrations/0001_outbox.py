"""Create the tables of the outbox."""

from typing import Any, ClassVar

from django.db import migrations

from asynctasq_orm.django.outbox.tables import create_statements


def create(_: Any, schema_editor: Any) -> None:
    """Create the tables in the database that is migrated."""
    for statement in create_statements(schema_editor.connection.vendor):
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):  # type: ignore[misc]  # Django has no types
    """The first version. Undoing it leaves the tables, which may have rows."""

    initial = True
    operations: ClassVar = [
        # Not atomic by itself: MySQL commits each of the statements. Where a database can undo them, the
        # migration as a whole is atomic.
        migrations.RunPython(create, migrations.RunPython.noop, atomic=False)
    ]
