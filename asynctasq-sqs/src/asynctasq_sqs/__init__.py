"""Amazon SQS as the queue of asynctasq. Importing this package does not import the AWS client."""

from asynctasq_sqs.driver import SQSDriver
from asynctasq_sqs.settings import SQSSettings

__version__ = "0.1.0"
__all__ = ["SQSDriver", "SQSSettings", "__version__"]
