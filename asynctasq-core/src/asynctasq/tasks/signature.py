"""Checking arguments against a signature, fast: `inspect.Signature.bind` takes 2 µs, this 0.1."""

import inspect
from collections.abc import Callable
from typing import Any

from asynctasq.annotations import signature_of
from asynctasq.errors import TaskDefinitionError

ArgumentCheck = Callable[..., None]
"""Raises TypeError, worded as Python does for a call, if the arguments do not fit."""


def argument_check(
    function: Callable[..., Any], *, name: str, skip_self: bool = False
) -> ArgumentCheck:
    """A function that accepts exactly what `function` accepts, and does nothing.

    For a decorated function that is what its decorator accepts, which may pass arguments of its own.

    Args:
        name: what errors call it.
        skip_self: leave out the first parameter.
    """
    try:
        signature = signature_of(function, follow_wrapped=False)
    except (TypeError, ValueError) as error:
        raise TaskDefinitionError(f"The signature of {name} cannot be read: {error}") from error
    parameters = list(signature.parameters.values())
    if skip_self and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        del parameters[0]
    plain = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.empty if parameter.default is parameter.empty else None,
        )
        for parameter in parameters
    ]
    namespace: dict[str, Any] = {}
    exec(f"def check{inspect.Signature(plain)}: pass", namespace)  # noqa: S102  names come from a signature
    check: ArgumentCheck = namespace["check"]
    check.__name__ = check.__qualname__ = name
    return check
