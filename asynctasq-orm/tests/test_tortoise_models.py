import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tortoise import Tortoise, fields
from tortoise.context import TortoiseContext
from tortoise.models import Model

from asynctasq import App, Worker, task
from asynctasq.conformance import ResolverConformance
from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable, TaskFailed
from asynctasq_orm.tortoise.resolver import TortoiseResolver
from asynctasq_orm.tortoise.settings import TortoiseSettings


class Author(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=20)
    posts: Any

    class Meta(Model.Meta):
        table = "headlined_author"


class Tag(Model):
    name = fields.CharField(max_length=20, primary_key=True)

    class Meta(Model.Meta):
        table = "headlined_tag"


class Post(Model):
    id = fields.UUIDField(primary_key=True)
    title = fields.CharField(max_length=20, source_field="headline")
    author: Any = fields.ForeignKeyField("models.Author", related_name="posts")
    tags: Any = fields.ManyToManyField("models.Tag", through="headlined_post_tag")

    class Meta(Model.Meta):
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


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def any_config(request: pytest.FixtureRequest, config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an empty database with a unique name: Tortoise caches statements by name."""
    if request.param != "sqlite":
        url: str = request.getfixturevalue(request.param)
        config["connections"] = {request.param: url.replace("postgresql:", "asyncpg:")}
        config["apps"]["models"]["default_connection"] = request.param
    return config


@task(relations=["posts", "author", "tags"])
async def gather(author: Author, post: Post) -> list[Any]:
    return [
        [each.title for each in author.posts],
        post.author.name,
        [each.name for each in post.tags],
        author,
    ]


async def test_models_of_every_database_arrive_with_their_relations(
    any_config: dict[str, Any], run_task: Any
) -> None:
    async with TortoiseContext() as made:
        await made.init(config=any_config)
        await Tortoise.generate_schemas()
        try:
            author, posts = await rows()
            await posts[0].tags.add(await Tag.create(name="new"))
            *found, same = await run_task(gather(author, posts[0]))
            assert found == [["P0", "P1"], "Ada", ["new"]]
            assert (type(same), same.name) == (Author, "Ada")
        finally:
            connection = Tortoise.get_connection(*any_config["connections"])
            for table in (
                "headlined_post_tag",
                "headlined_post",
                "headlined_author",
                "headlined_tag",
            ):
                await connection.execute_script(f"drop table {table}")


@task(max_attempts=1)
async def wander(author: Author, post: Post, where: str) -> None:
    if where == "posts":
        for _ in author.posts:
            pass
    elif where == "tags":
        len(post.tags)
    else:
        _ = post.author.name


@pytest.mark.parametrize(
    ("where", "named"),
    [("posts", "Author.posts"), ("tags", "Post.tags"), ("author", "Post.author")],
)
async def test_relation_that_was_not_named_is_named_by_the_error(
    config: dict[str, Any], run_task: Any, where: str, named: str
) -> None:
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        author, posts = await rows()
        with pytest.raises(TaskFailed) as raised:
            await run_task(wander(author, posts[0], where))
    assert f"{named} was not loaded with the model." in raised.value.traceback


@task(max_attempts=1)
async def write(author: Author | None, fail: bool) -> None:
    await Author(name="another").save()
    if fail:
        raise ValueError("not today")


def open_files(name: str) -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.append(str(each.readlink()))
    return [path for path in found if path.endswith(name)]


async def test_nothing_is_left_open_failed_tasks_or_not(config: dict[str, Any]) -> None:
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        author, _ = await rows()
    app = App({"driver": "memory", "tortoise": {"config": config}})
    async with app:
        await app.dispatch_many(write(author, n % 2 == 0) for n in range(250))
        await Worker(app=app, burst=True, handle_signals=False).start()
    app.close_sync()
    assert open_files("models.db") == []
    with closing(sqlite3.connect(config["connections"]["default"][9:])) as database:
        assert database.execute("select count(*) from headlined_author").fetchone() == (251,)


PROJECT = """
import os
from tortoise import Tortoise, fields
from tortoise.models import Model
import asynctasq

CONFIG = {
    "connections": {"default": "sqlite://models.db"},
    "apps": {"models": {"models": ["shop"], "default_connection": "default"}},
}
asynctasq.init({"tortoise": {"config": "shop:CONFIG"}})

class Author(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=20)

@asynctasq.task(process=True)
async def rename(author: Author, name: str) -> Author:
    author.name = name
    await author.save()
    return author

@asynctasq.task(process=True)
def greet(author: Author) -> tuple[str, int]:
    return f"Hello {author.name}", os.getpid()

async def main():
    await Tortoise.init(config=CONFIG)
    await Tortoise.generate_schemas()
    authors = [await Author.create(name=name) for name in ("Ada", "Bob")]
    tasks = [rename(authors[0], "Eve"), greet(authors[1])]
    handles = [await each.options(result_ttl=60).dispatch() for each in tasks]
    await asynctasq.Worker(burst=True, process_pool_size=1).start()
    said, pid = await handles[1].result()
    print((await handles[0].result()).name, said, pid != os.getpid())
    await Tortoise.close_connections()
"""


def test_process_tasks_have_connections_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import shop, asynctasq; asynctasq.run(shop.main())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Eve Hello Bob True\n", "")


async def test_worker_initializes_tortoise_from_settings(config: dict[str, Any]) -> None:
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        author, posts = await rows()
    app = App({"driver": "memory", "tortoise": {"config": config}})
    async with app:
        handle = await app.dispatch(announce(posts, author).options(result_ttl=60, max_attempts=1))
        await Worker(app=app, burst=True, handle_signals=False).start()
        assert await handle.result(timeout=30) == ["P0 by Ada", "P1 by Ada"]
    app.close_sync()
    assert not Tortoise.is_inited()


async def test_without_initialization_the_error_says_what_to_do() -> None:
    resolver = TortoiseResolver(TortoiseSettings())
    reference = Reference("tortoise", f"{__name__}:Author", 1)
    with pytest.raises(ConfigurationError, match="lifespan"):
        await resolver.resolve([reference])
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        await TortoiseResolver(TortoiseSettings(config="no.such:THING")).resolve([reference])


async def test_missing_row_and_unsaved_model(config: dict[str, Any]) -> None:
    resolver = TortoiseResolver(TortoiseSettings())
    async with TortoiseContext() as made:
        await made.init(config=config)
        await Tortoise.generate_schemas()
        with pytest.raises(NotSerializable, match="save it"):
            resolver.reference(Author(id=5, name="Eve"))
        assert await resolver.resolve([Reference("tortoise", f"{__name__}:Author", 3)]) == [None]
        with pytest.raises(ArgumentsMismatch, match="not a Tortoise model"):
            await resolver.resolve([Reference("tortoise", f"{__name__}:TortoiseResolver", 3)])


class TestConformance(ResolverConformance):
    name = "tortoise"

    def make_resolver(self) -> Resolver:
        return TortoiseResolver(TortoiseSettings())

    async def set_up(self) -> None:
        self.context = TortoiseContext()
        self.context.__enter__()
        await self.context.init(
            config={
                "connections": {"default": f"sqlite://{self.folder / 'models.db'}"},
                "apps": {"models": {"models": [__name__], "default_connection": "default"}},
            }
        )
        await Tortoise.generate_schemas()

    async def tear_down(self) -> None:
        await self.context.close_connections()
        self.context.__exit__(None, None, None)

    async def make_models(self, count: int) -> Sequence[object]:
        return [await Author.create(name=f"author {number}") for number in range(count)]

    def make_unsaved(self) -> object:
        return Author(name="unsaved")

    async def delete(self, model: object) -> None:
        assert isinstance(model, Author)
        await model.delete()
