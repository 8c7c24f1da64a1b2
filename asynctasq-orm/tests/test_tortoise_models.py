from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tortoise import Tortoise, fields
from tortoise.context import TortoiseContext
from tortoise.models import Model

from asynctasq import App, Worker, task
from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable
from asynctasq_orm.tortoise.resolver import TortoiseResolver
from asynctasq_orm.tortoise.settings import TortoiseSettings


class Author(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=20)

    class Meta:
        table = "headlined_author"


class Post(Model):
    id = fields.UUIDField(primary_key=True)
    title = fields.CharField(max_length=20, source_field="headline")
    author: Any = fields.ForeignKeyField("models.Author")

    class Meta:
        # Tortoise caches statements by table name for the whole process, other tests' `post` too.
        table = "headlined_post"


@task
async def announce(posts: list[Post], author: Author) -> list[str]:
    return [f"{post.title} by {author.name}" for post in posts]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "connections": {"default": f"sqlite://{tmp_path / 'models.db'}"},
        "apps": {"models": {"models": [__name__], "default_connection": "default"}},
    }


async def rows() -> tuple[Author, list[Post]]:
    author = await Author.create(id=1, name="Ada")
    return author, [
        await Post.create(id=UUID(int=n), title=f"P{n}", author=author) for n in range(2)
    ]


async def test_models_arrive(config: dict[str, Any], run_task: Any) -> None:
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        author, posts = await rows()
        assert await run_task(announce(posts, author)) == ["P0 by Ada", "P1 by Ada"]


async def test_worker_initializes_tortoise_from_settings(config: dict[str, Any]) -> None:
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        author, posts = await rows()
    app = App({"driver": "memory", "tortoise": {"config": config}})
    async with app:
        handle = await app.dispatch(announce(posts, author).options(result_ttl=60, max_attempts=1))
        await Worker(app=app, burst=True, handle_signals=False).start()
        assert await handle.result(timeout=5) == ["P0 by Ada", "P1 by Ada"]
    app.close_sync()
    assert not Tortoise._inited


async def test_without_initialization_the_error_says_what_to_do() -> None:
    resolver = TortoiseResolver(TortoiseSettings())
    reference = Reference("tortoise", f"{__name__}:Author", 1)
    with pytest.raises(ConfigurationError, match="lifespan"):
        await resolver.resolve([reference])
    with pytest.raises(ConfigurationError, match="leads to nothing"):
        await TortoiseResolver(TortoiseSettings(config="no.such:THING")).resolve([reference])


async def test_missing_row_and_unsaved_model(config: dict[str, Any]) -> None:
    resolver = TortoiseResolver(TortoiseSettings())
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        with pytest.raises(NotSerializable, match="save it"):
            resolver.reference(Author(id=5, name="Eve"))
        assert await resolver.resolve([Reference("tortoise", f"{__name__}:Author", 3)]) == [None]
        with pytest.raises(ArgumentsMismatch, match="no Tortoise model"):
            await resolver.resolve([Reference("tortoise", f"{__name__}:TortoiseResolver", 3)])
