"""Print the public interface of asynctasq, one line for each name: what a release may not break.

`make api` writes it to tests/public_api.txt; a test compares the two, so that reviewers see
a change of the interface.
"""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent

# Modules that users and authors of plugins import. Everything else may change with any release.
PUBLIC_MODULES: Mapping[str, Sequence[str]] = {
    "asynctasq-core": (
        "asynctasq",
        "asynctasq.cli.options",
        "asynctasq.conformance",
        "asynctasq.conformance.aborts",
        "asynctasq.conformance.model",
        "asynctasq.conformance.processes",
        "asynctasq.contracts",
        "asynctasq.contracts.capabilities",
        "asynctasq.contracts.driver",
        "asynctasq.contracts.executor",
        "asynctasq.contracts.resolver",
        "asynctasq.contracts.serializer",
        "asynctasq.driverkit",
        "asynctasq.drivers.memory",
        "asynctasq.drivers.sqlite",
        "asynctasq.errors",
        "asynctasq.executors",
        "asynctasq.hookspecs",
        "asynctasq.message",
        "asynctasq.operations",
        "asynctasq.records",
        "asynctasq.serializers",
        "asynctasq.settlement",
        "asynctasq.testing",
    ),
    "asynctasq-orm": (
        "asynctasq_orm",
        "asynctasq_orm.sqlalchemy",
    ),
    "asynctasq-mysql": ("asynctasq_mysql",),
    "asynctasq-postgres": ("asynctasq_postgres",),
    "asynctasq-rabbitmq": ("asynctasq_rabbitmq",),
    "asynctasq-redis": ("asynctasq_redis",),
    "asynctasq-sqs": ("asynctasq_sqs",),
}
"""By distribution."""


def public_lines() -> Iterator[str]:
    """Yield the lines of the snapshot, in order."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / name / "src" for name in PUBLIC_MODULES])
    names = {path.partition(".")[0] for paths in PUBLIC_MODULES.values() for path in paths}
    packages = {name: loader.load(name, try_relative_path=False) for name in sorted(names)}
    loader.resolve_aliases()
    modules: dict[str, griffe.Object | griffe.Alias] = {}
    for path in (path for paths in PUBLIC_MODULES.values() for path in paths):
        name, _, rest = path.partition(".")
        modules[path] = packages[name][rest] if rest else packages[name]
    listed = {
        module.members[member].canonical_path
        for module in modules.values()
        for member in module.members
        if is_public(module, member)
    }
    for path, module in modules.items():
        yield f"# {path}"
        for member in sorted(module.members):
            if is_public(module, member):
                yield from describe(module.members[member], member, listed)


def is_public(module: griffe.Object | griffe.Alias, name: str) -> bool:
    """Return whether a module defines the name, or lists it in `__all__`."""
    member = module.members[name]
    if module.exports is not None:
        return name in module.exports
    return not (name.startswith("_") or member.is_alias or member.is_module)


def describe(
    member: griffe.Object | griffe.Alias, name: str, listed: Collection[str]
) -> Iterator[str]:
    """Yield the lines of one name, and of the members of a class.

    Args:
        member: to describe.
        name: under which it is public.
        listed: paths of all public names. Members that a class inherits from a class among them stand there.
    """
    item = member
    if isinstance(member, griffe.Alias):
        if not member.resolved:
            yield f"{name} = {member.target_path}"
            return
        item = member.final_target
    if isinstance(item, griffe.Class):
        yield f"class {name}({', '.join(map(str, item.bases))})"
        members = members_of(item, listed)
        for member_name in sorted(members.keys() | assigned(item)):
            if member_name.startswith("_") and member_name != "__init__":
                continue
            if member_name in members:
                yield from describe(members[member_name], f"{name}.{member_name}", listed)
            else:
                yield f"{name}.{member_name}"
    elif isinstance(item, griffe.Function):
        prefix = "async def" if "async" in item.labels else "def"
        yield f"{prefix} {item.signature(name=name)}"
    elif isinstance(item, griffe.Attribute):
        yield name if item.annotation is None else f"{name}: {item.annotation}"


def members_of(
    item: griffe.Class, listed: Collection[str]
) -> Mapping[str, griffe.Object | griffe.Alias]:
    """Return the members of a class, and those of its bases that are not public by themselves."""
    found: dict[str, griffe.Object | griffe.Alias] = {}
    for base in reversed(item.mro()):
        if base.canonical_path not in listed:
            found |= base.members
    return found | item.members


def assigned(item: griffe.Class) -> set[str]:
    """Return the attributes that methods other than `__init__` assign to `self`."""
    if not isinstance(item.filepath, Path) or item.lineno is None:
        return set()
    return _assigned(item.filepath).get((item.name, item.lineno), set())


@cache
def _assigned(path: Path) -> Mapping[tuple[str, int], set[str]]:
    """Return attributes by name and first line of the class."""
    found: dict[tuple[str, int], set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name, line] = found[node.name, node.lineno] = {
                each.attr
                for each in ast.walk(node)
                if isinstance(each, ast.Attribute)
                and isinstance(each.ctx, ast.Store)
                and isinstance(each.value, ast.Name)
                and each.value.id == "self"
            }
    return found


if __name__ == "__main__":
    print("\n".join(public_lines()))
