"""Annotations and signatures, read without the names that only type checkers import.

Python 3.14 evaluates annotations when they are read. A name below `if TYPE_CHECKING:` would raise
NameError then, although no value of it is needed here.
"""

import inspect
import sys
from collections.abc import Callable
from typing import Any

if sys.version_info >= (3, 14):
    import annotationlib

    def own_annotations(cls: type) -> dict[str, Any]:
        """Return the annotations of a class itself; an unknown name is a `ForwardRef`."""
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)

    def signature_of(
        function: Callable[..., Any], *, follow_wrapped: bool = True
    ) -> inspect.Signature:
        """Return the signature of a callable; an unknown name is a `ForwardRef`."""
        return inspect.signature(
            function,
            follow_wrapped=follow_wrapped,
            annotation_format=annotationlib.Format.FORWARDREF,
        )

else:

    def own_annotations(cls: type) -> dict[str, Any]:
        """Return the annotations of a class itself."""
        return inspect.get_annotations(cls)

    def signature_of(
        function: Callable[..., Any], *, follow_wrapped: bool = True
    ) -> inspect.Signature:
        """Return the signature of a callable."""
        return inspect.signature(function, follow_wrapped=follow_wrapped)
