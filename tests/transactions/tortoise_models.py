"""A model, because Tortoise needs one."""

import os

from tortoise import fields
from tortoise.models import Model


class Order(Model):
    """An order of the tests, which they add with SQL."""

    number = fields.IntField(primary_key=True)

    class Meta(Model.Meta):
        table = "orders"


class Parcel(Model):
    """A model as an argument. Processes of one run share a server."""

    number = fields.IntField(primary_key=True)

    class Meta(Model.Meta):
        table = f"parcels_{os.getpid()}"
