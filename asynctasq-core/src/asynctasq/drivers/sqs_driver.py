"""The documented import path of the SQS driver, which `asynctasq-sqs` will bring."""

try:
    from asynctasq_sqs import (  # pyright: ignore[reportMissingImports]  need not be installed
        SQSDriver as SQSDriver,
    )
except ModuleNotFoundError as error:
    if error.name != "asynctasq_sqs":  # it is there, and lacks something: its own error tells
        raise
    raise ModuleNotFoundError(
        "The SQS driver is planned, but not available yet.",
        name=error.name,
    ) from None
