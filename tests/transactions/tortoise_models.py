"""A model, because Tortoise needs one."""

from tortoise import fields
from tortoise.models import Model


class Order(Model):
    """An order of the tests, which they add with SQL."""

    number = fields.IntField(primary_key=True)

    class Meta(Model.Meta):
        table = "orders"
