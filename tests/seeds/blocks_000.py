"""The way to run each code block of the first document: defining tasks."""

from tests.seeds.harness import Block, Correction, Sent

ASYNCIO = "import asyncio"
TASK = "from asynctasq.tasks import task"
CLASSES = "from asynctasq.tasks import AsyncProcessTask, AsyncTask, SyncProcessTask, SyncTask"

AFTER_CONTINUATION = "a comment may not follow a line continuation"


def without_comment(line: str) -> Correction:
    """Remove the comment from a line that continues."""
    return Correction(line, line.partition("\\")[0] + "\\", AFTER_CONTINUATION)


FRAMES = """
async def count(self, data):
    return len(data)

ProcessVideoAsync._process_frames = count
"""
PAYMENT = Sent("ProcessPayment", "payments", timeout=30, returns=True)
PAYMENT_WITHOUT_TIMEOUT = Sent("ProcessPayment", "payments", returns=True)

BLOCKS = (
    Block(
        "000/01_send_email",
        given=ASYNCIO,
        sent=(Sent("send_email", returns="Email sent to user@example.com"),),
        prints=("Sending email to user@example.com: Welcome!",),
    ),
    Block(
        "000/02_send_welcome_email",
        given=TASK,
        then="await send_welcome_email(user_id=7).dispatch()",
        sent=(Sent("send_welcome_email", "emails", max_attempts=5, retry_delay=120, timeout=30),),
        prints=("Sending welcome email to user 7",),
    ),
    Block(
        "000/03_fetch_web_page",
        given=TASK,
        then="await fetch_web_page('https://example.com/').dispatch()",
        sent=(Sent("fetch_web_page", "web-scraping", returns="page of https://example.com/"),),
    ),
    Block(
        "000/04_heavy_computation",
        given=TASK,
        then="await heavy_computation(data=[1.0, 2.0]).dispatch()",
        sent=(
            Sent(
                "heavy_computation",
                "data-processing",
                timeout=600,
                returns=[1.0, 2.0],
                in_process=True,
            ),
        ),
    ),
    Block(
        "000/05_dispatching",
        continues="000/01_send_email",
        given=ASYNCIO,
        sent=(
            Sent("send_email", returns="Email sent to user@example.com"),
            Sent("send_email", returns="Email sent to user@example.com"),
            Sent("send_email", delay=60, returns="Email sent to user@example.com"),
            Sent("send_email", "high", returns="Email sent to user@example.com"),
        ),
    ),
    Block(
        "000/06_process_payment",
        given=ASYNCIO,
        then="await ProcessPayment(123, amount=99.99).dispatch()",
        sent=(PAYMENT,),
        prints=("Processing $99.99 for user 123",),
    ),
    Block(
        "000/07_fetch_web_page",
        then="await FetchWebPage(url='https://example.com/').dispatch()",
        sent=(Sent("FetchWebPage", "web-scraping", returns="page of https://example.com/"),),
    ),
    Block(
        "000/08_process_video_async",
        given="import aiofiles",
        then=f"{FRAMES}\nawait ProcessVideoAsync(video_path='a.mp4').dispatch()",
        sent=(
            Sent(
                "ProcessVideoAsync",
                "video-processing",
                timeout=3600,
                returns={"frames_processed": 2048},
                in_process=True,
            ),
        ),
    ),
    Block(
        "000/09_process_large_dataset",
        then="await ProcessLargeDataset(data=[1.0]).dispatch()",
        sent=(
            Sent(
                "ProcessLargeDataset",
                "data-processing",
                timeout=3600,
                returns={"mean": 1.0},
                in_process=True,
            ),
        ),
    ),
    Block(
        "000/10_process_payment",
        given=CLASSES,
        then="""
async def refuse(self):
    raise ValueError('the card is expired')

await ProcessPayment(user_id=123, amount=99.99).dispatch()
class Refused(ProcessPayment):
    _charge_card = refuse
assert Refused(1, 2.0).should_retry(ValueError()) is False
assert Refused(1, 2.0).should_retry(ConnectionError()) is True
await Refused(user_id=124, amount=1.0).dispatch()
""",
        sent=(
            PAYMENT_WITHOUT_TIMEOUT,
            Sent("Refused", "payments", dies_of="ValueError"),  # not worth a retry
        ),
        prints=("Payment failed for user 124: the card is expired",),
    ),
    Block(
        "000/11_dispatching_classes",
        continues="000/10_process_payment",
        given=CLASSES,
        sent=(
            PAYMENT_WITHOUT_TIMEOUT,
            Sent("ProcessPayment", "payments", delay=60, returns=True),
            Sent("ProcessPayment", "high-priority", delay=60, retry_delay=120, returns=True),
        ),
    ),
    Block(
        "000/12_fetch_data",
        given=f"{CLASSES}\nimport aiofiles\nimport httpx\nurl = 'https://example.com/data'",
        then=f"""{FRAMES}
await FetchData().dispatch()
await FetchWebPage(url=url).dispatch()
await ProcessVideoAsync(path='a.mp4').dispatch()
await ProcessDataset(large_matrix=[[1.0]]).dispatch()
""",
        corrections=(
            Correction(
                "class ProcessVideoAsync(AsyncProcessTask[dict]):",
                "class ProcessVideoAsync(AsyncProcessTask[dict]):\n    queue = 'computing'",
                "the document has no queue for it: its order among the others is not told",
            ),
            Correction(
                "class ProcessDataset(SyncProcessTask[dict]):",
                "class ProcessDataset(SyncProcessTask[dict]):\n    queue = 'computing'",
                "the document has no queue for it: its order among the others is not told",
            ),
        ),
        sent=(
            Sent("FetchData", returns={"url": "https://example.com/data"}),
            Sent("FetchWebPage", returns="page of https://example.com/data"),
            Sent("ProcessVideoAsync", "computing", returns=2048, in_process=True),
            Sent("ProcessDataset", "computing", returns={"result": [[1.0]]}, in_process=True),
        ),
    ),
    Block(
        "000/13_send_email",
        given=TASK,
        then="await send_email('a', 'b', 'c').dispatch()",
        sent=(Sent("send_email"),),  # the second definition replaces the first
        prints=("Sending email to a: b",),
    ),
    Block(
        "000/14_send_notification",
        given=TASK,
        corrections=(
            without_comment('.on_queue("high-priority") \\  # Override queue'),
            without_comment(".retry_after(30) \\             # Override retry_delay"),
            without_comment(".delay(60) \\                   # Add 60s delay"),
        ),
        sent=(Sent("send_notification", "high-priority", retry_delay=30, delay=60),),
    ),
    Block(
        "000/15_process_payment",
        given=CLASSES,
        sent=(PAYMENT,),
        prints=("Processing $99.99 for user 123",),
    ),
    Block(
        "000/16_class_chaining",
        continues="000/15_process_payment",
        given=CLASSES,
        corrections=(
            without_comment('.on_queue("high-priority") \\  # Override class attribute'),
            without_comment(".retry_after(120) \\            # Override retry_delay"),
            without_comment(".delay(60) \\                   # Add delay"),
        ),
        sent=(
            PAYMENT,
            Sent(
                "ProcessPayment",
                "high-priority",
                retry_delay=120,
                timeout=30,
                delay=60,
                returns=True,
            ),
        ),
    ),
    Block("000/17_base_task", left_out="how an earlier release worked inside; no user's code"),
    Block(
        "000/18_send_notification",
        given=f"{TASK}\n{CLASSES}",
        corrections=(
            without_comment('.on_queue("urgent") \\  # 1. Highest priority - overrides decorator'),
            without_comment(
                '.on_queue("express") \\  # 1. Highest priority - overrides class attribute'
            ),
        ),
        sent=(Sent("send_notification", "urgent"), Sent("ProcessOrder", "express", returns=True)),
    ),
    Block(
        "000/19_send_email",
        given=TASK,
        then="await send_email('a').dispatch()",
        sent=(Sent("send_email", "emails"),),
    ),
    Block(
        "000/20_process_payment",
        given=CLASSES,
        corrections=(
            Correction(
                "class ProcessPayment(AsyncTask[bool]):\n    def __init__(self, amount: float):",
                "class Forgetful(AsyncTask[bool]):\n    async def execute(self):\n"
                "        return self.amount\n\n    def __init__(self, amount: float):",
                "shown without its work; a separate name, to see that forgetting does no harm",
            ),
            Correction(
                "class ProcessPayment(AsyncTask[bool]):",
                "class ProcessPayment(AsyncTask[bool]):\n    async def execute(self):\n"
                "        return self.amount\n",
                "shown without its work",
            ),
        ),
        then="""
await Forgetful(2.5).on_queue('forgotten').dispatch()
await ProcessPayment(2.5).dispatch()
assert ProcessPayment(amount=2.5, note='extra').note == 'extra'
""",
        sent=(Sent("Forgetful", "forgotten", returns=2.5), Sent("ProcessPayment", returns=2.5)),
    ),
    Block(
        "000/21_send_email",
        given=f"{TASK}\n{CLASSES}",
        corrections=(
            Correction(
                "await task_instance.",
                "await send_email('first@example.com', 'Hi').",
                "`task_instance` stands for any task",
            ),
        ),
        sent=(
            Sent("send_email", "high", max_attempts=5, retry_delay=120, timeout=30, delay=60),
            Sent("send_email", "emails", max_attempts=5, retry_delay=120, timeout=30, delay=60),
        ),
    ),
    Block(
        "000/22_my_task",
        given=CLASSES,
        then="await MyTask().dispatch()",
        sent=(Sent("MyTask"),),
        prints=("Task ID: {0}", "Attempt: 0", "Dispatched at: 20"),
    ),
)
