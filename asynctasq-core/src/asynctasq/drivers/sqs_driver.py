"""The SQS driver under its documented import path; `asynctasq-sqs` brings it."""

try:
    from asynctasq_sqs import (  # pyright: ignore[reportMissingImports]  need not be installed
        SQSDriver as SQSDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_sqs":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The SQS driver is not installed. To install it: pip install 'asynctasq[sqs]'",
        name=error.name,
    ) from None
