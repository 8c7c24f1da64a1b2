"""Print the public interface of asynctasq, one line for each name: what a release may not break.

`make api` writes it to tests/public_api.txt; a test compares the two, so that reviewers see
a change of the interface.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent

# What users and authors of plugins import. All else may change with any release.
PUBLIC_MODULES = [
    "asynctasq",
    "asynctasq.contracts.capabilities",
    "asynctasq.contracts.driver",
    "asynctasq.contracts.executor",
    "asynctasq.contracts.resolver",
    "asynctasq.contracts.serializer",
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
]


def public_lines() -> Iterator[str]:
    """Yield the lines of the snapshot, in order."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "asynctasq-core/src"])
    package = loader.load("asynctasq", try_relative_path=False)
    loader.resolve_aliases()
    for path in PUBLIC_MODULES:
        module = package if path == "asynctasq" else package[path.removeprefix("asynctasq.")]
        yield f"# {path}"
        for name in sorted(module.members):
            if is_public(module, name):
                yield from describe(module.members[name], name)


def is_public(module: griffe.Object | griffe.Alias, name: str) -> bool:
    """Return whether a module defines the name, or lists it in `__all__`."""
    member = module.members[name]
    if module.exports is not None:
        return name in module.exports
    return not (name.startswith("_") or member.is_alias or member.is_module)


def describe(member: griffe.Object | griffe.Alias, name: str) -> Iterator[str]:
    """Yield the lines of one name, and of the members of a class."""
    item = member
    if isinstance(member, griffe.Alias):
        if not member.resolved:
            yield f"{name} = {member.target_path}"
            return
        item = member.final_target
    if isinstance(item, griffe.Class):
        yield f"class {name}({', '.join(map(str, item.bases))})"
        for member_name in sorted(item.members):
            if not member_name.startswith("_") or member_name == "__init__":
                yield from describe(item.members[member_name], f"{name}.{member_name}")
    elif isinstance(item, griffe.Function):
        prefix = "async def" if "async" in item.labels else "def"
        yield f"{prefix} {item.signature(name=name)}"
    elif isinstance(item, griffe.Attribute):
        yield name if item.annotation is None else f"{name}: {item.annotation}"


if __name__ == "__main__":
    print("\n".join(public_lines()))
