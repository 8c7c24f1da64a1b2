"""Choosing the driver is cheap: nothing of AWS is imported until the first use."""

import subprocess
import sys

PROGRAM = """
import sys
import asynctasq

asynctasq.init({"driver": "sqs"})
heavy = {"aioboto3", "aiobotocore", "boto3", "botocore", "aiohttp"}
siblings = {"asynctasq_mysql", "asynctasq_postgres", "asynctasq_rabbitmq", "asynctasq_redis"}
loaded = {name.partition(".")[0] for name in sys.modules}
assert "asynctasq_sqs" in loaded
print(sorted(loaded & (heavy | siblings)))
"""


def test_init_imports_nothing_of_aws_and_no_sibling() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
