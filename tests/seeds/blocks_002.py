"""The way to run each code block of the third document: function tasks."""

from unittest.mock import ANY

from tests.seeds.blocks_000 import TASK
from tests.seeds.blocks_001 import DJANGO, MODELS_HERE, ROWS, RUNNER, TORTOISE, USER
from tests.seeds.harness import NOT_STORED, Block, Sent
from tests.seeds.stand_ins.redis_driver import CUSTOM_STORE

HTTPX = "import httpx"
STATISTICS = {"mean": ANY, "std": 0.0}
MODEL = """
def run_model(model_data, data):
    return [len(model_data), data]
"""

BLOCKS = (
    Block("002/01_runner", then="assert uv_run is asynctasq.run", given="import asynctasq"),
    Block(
        "002/02_fetch_data",
        given=f"{HTTPX}\nimport aiofiles\ndef process_frames(data):\n    return len(data)",
        then=f"""
await fetch_data({USER!r}).dispatch()
await fetch_web_page({USER!r}).dispatch()
await process_video_async(path='a.mp4').on_queue('computing').dispatch()
await heavy_computation(data=[1.0]).on_queue('computing').dispatch()
""",
        sent=(
            Sent("fetch_data", returns=NOT_STORED),  # the client's answer itself
            Sent("fetch_web_page", returns=f"page of {USER}"),
            Sent("process_video_async", "computing", returns=2048, in_process=True),
            Sent("heavy_computation", "computing", returns=NOT_STORED, in_process=True),
        ),
    ),
    Block(
        "002/03_send_notification",
        sent=(Sent("send_notification", returns="Sent: Hello, World!"),),
        prints=("Task dispatched with ID: {0}", "Notification: Hello, World!"),
    ),
    Block(
        "002/04_process_data",
        sent=(Sent("process_data", returns=15),),
        prints=("Task dispatched: {0}",),
    ),
    Block(
        "002/05_heavy_computation",
        given=TASK,
        then="await heavy_computation([1.0, 2.0]).dispatch()",
        sent=(Sent("heavy_computation", returns=NOT_STORED, in_process=True),),
    ),
    Block(
        "002/06_simple_task",
        then="await simple_task().dispatch()",
        sent=(Sent("simple_task"),),
        prints=("Executing simple task",),
    ),
    Block(
        "002/07_send_email",
        then="await send_email('a', 'b', body='c').dispatch()",
        sent=(Sent("send_email", "emails", max_attempts=5, retry_delay=120, timeout=30),),
        prints=("Sending email to a: b",),
    ),
    Block(
        "002/08_send_email",
        then="""
await send_email('a', 'b').dispatch()
await process_payment(9.5, user_id=1).dispatch()
await send_push_notification(1, 'Hi').dispatch()
""",
        sent=(
            Sent("send_email", "emails"),
            Sent("process_payment", "payments"),
            Sent("send_push_notification", "notifications"),
        ),
    ),
    Block(
        "002/09_charge_credit_card",
        then="""
await charge_credit_card('card', 9.5).dispatch()
await validate_data({}).dispatch()
await call_external_api('/users').dispatch()
""",
        sent=(
            Sent("charge_credit_card", "payments", max_attempts=10, retry_delay=30),
            Sent("validate_data", "validation", max_attempts=0),
            Sent("call_external_api", "api-calls", max_attempts=5, retry_delay=300),
        ),
    ),
    Block(
        "002/10_quick_operation",
        then="""
await quick_operation().dispatch()
await generate_report(1).dispatch()
await background_cleanup().dispatch()
""",
        sent=(
            Sent("quick_operation", "quick", timeout=5),
            Sent("generate_report", "reports", timeout=3600),
            Sent("background_cleanup", "background"),
        ),
    ),
    Block(
        "002/11_critical_operation",
        then="await critical_operation(data={'a': 1}).dispatch()",
        sent=(Sent("critical_operation", "critical", max_attempts=10, timeout=300),),
    ),
    Block(
        "002/12_run_ml_inference",
        given=MODEL,
        then="""
await run_ml_inference('model.bin', [0.5]).dispatch()
await process_large_dataset([0.5]).dispatch()
""",
        sent=(
            Sent(
                "run_ml_inference",
                "ml-inference",
                timeout=300,
                returns=[2048, [0.5]],
                in_process=True,
            ),
            Sent(
                "process_large_dataset",
                "data-processing",
                timeout=600,
                returns=STATISTICS,
                in_process=True,
            ),
        ),
    ),
    Block(
        "002/13_send_email",
        sent=(Sent("send_email", "emails"),),
        prints=("Task ID: {0}", "Sending email to user@example.com"),
    ),
    Block(
        "002/14_send_reminder",
        sent=(Sent("send_reminder", "reminders", delay=60),),
        prints=("Sending reminder to user 123: Don't forget to complete your profile!",),
    ),
    Block(
        "002/15_process_items",
        sent=(Sent("process_items"),),
        prints=("Processing: apple, banana, cherry",),
    ),
    Block(
        "002/16_update_user",
        sent=(Sent("update_user"),),
        prints=("Updating user 123: John Doe (john@example.com), active=False",),
    ),
    Block(
        "002/17_io_async",
        given=TASK,
        then="""
await io_async().dispatch()
await io_sync().dispatch()
await cpu_async().on_queue('computing').dispatch()
await cpu_sync().on_queue('computing').dispatch()
""",
        sent=(
            Sent("io_async"),
            Sent("io_sync"),
            Sent("cpu_async", "computing", in_process=True),
            Sent("cpu_sync", "computing", in_process=True),
        ),
    ),
    Block(
        "002/18_fetch_user_data",
        then="await fetch_user_data(1).dispatch()",
        sent=(Sent("fetch_user_data", "api", returns={"url": "https://api.example.com/users/1"}),),
    ),
    Block(
        "002/19_fetch_web_page",
        then=f"await fetch_web_page({USER!r}).dispatch()",
        sent=(Sent("fetch_web_page", "web-scraping", returns=f"page of {USER}"),),
    ),
    Block(
        "002/20_process_video_async",
        given="async def process_frames(data):\n    return len(data)",
        then="await process_video_async('a.mp4').dispatch()",
        sent=(
            Sent(
                "process_video_async", "video-processing", returns={"frames": 2048}, in_process=True
            ),
        ),
    ),
    Block(
        "002/21_process_large_dataset",
        then="await process_large_dataset([1.0]).dispatch()",
        sent=(
            Sent(
                "process_large_dataset",
                "data-processing",
                timeout=600,
                returns=STATISTICS,
                in_process=True,
            ),
        ),
    ),
    Block(
        "002/22_fetch_data",
        given=f"{HTTPX}\nimport aiofiles\n{MODEL}",
        then=f"""
await fetch_data({USER!r}).dispatch()
await scrape_page({USER!r}).dispatch()
await ml_inference_async([1.0]).on_queue('computing').dispatch()
await heavy_math([[1.0]]).on_queue('computing').dispatch()
""",
        sent=(
            Sent("fetch_data", returns=NOT_STORED),
            Sent("scrape_page", returns=f"page of {USER}"),
            Sent("ml_inference_async", "computing", returns=[2048, [1.0]], in_process=True),
            Sent("heavy_math", "computing", returns=[[1.0]], in_process=True),
        ),
    ),
    Block(
        "002/23_async_operation",
        sent=(
            Sent("async_operation", "asynctasqs", returns="Processed: async"),
            Sent("sync_operation", "sync-tasks", returns="Computed: sync"),
        ),
    ),
    Block(
        "002/24_critical_task",
        then="""
await critical_task({'a': 1}).dispatch()
await aws_task('eu-west-1').dispatch()
await normal_task('b').dispatch()
""",
        sent=(
            Sent("critical_task", "critical"),
            Sent("aws_task", "aws-tasks"),
            Sent("normal_task", "normal"),
        ),
        prints=("Processing critical task: {'a': 1}",),
    ),
    Block(
        "002/25_custom_driver_task",
        sent=(Sent("custom_driver_task", "custom"),),
        prints=("Task dispatched: {0}", "Using custom driver: {'key': 'value'}"),
        store=CUSTOM_STORE,
    ),
    Block(
        "002/26_redis_task",
        then="""
await postgres_task('a').dispatch()
await sqs_task('a').dispatch()
await redis_task('a').dispatch()
""",
        sent=(
            Sent("postgres_task", "postgres-queue"),
            Sent("sqs_task", "sqs-queue"),
            Sent("redis_task", "default-queue"),  # the second function of that name
        ),
    ),
    Block(
        "002/27_base",
        given=ROWS,
        corrections=(MODELS_HERE,),
        sent=(Sent("send_welcome_email", "emails"), Sent("process_order", "orders")),
        prints=(
            "Sending welcome email to ada@example.com (ID: 1)",
            "Processing order 100 for user Ada",
        ),
    ),
    Block("002/28_user", left_out=DJANGO),
    Block(
        "002/29_user",
        given=TORTOISE,
        sent=(Sent("notify_new_post", "notifications"),),
        prints=("New post 'On engines' by Ada",),
    ),
    Block(
        "002/30_pattern",
        given="""
from asynctasq.tasks import task

arg1, arg2 = 'a', 'b'

@task
async def task_function(first, second):
    return first + second
""",
        sent=(Sent("task_function", "queue", delay=60, returns="ab"),),
    ),
    Block(
        "002/31_process_data",
        sent=(Sent("process_data", delay=60),),
        prints=("Processing: data",),
    ),
    Block(
        "002/32_send_notification",
        sent=(
            Sent("send_notification", "high-priority"),
            Sent("send_notification", "low-priority", delay=300),
        ),
        prints=("Notification: urgent", "Notification: reminder"),
    ),
    Block(
        "002/33_call_api",
        sent=(Sent("call_api", "api", retry_delay=120),),
        prints=("Calling https://api.example.com/data",),
    ),
    Block(
        "002/34_complex_task",
        sent=(Sent("complex_task", "critical", retry_delay=180, delay=30),),
        prints=("Processing: {'key': 'value'}",),
    ),
    Block(
        "002/35_send_email",
        given=RUNNER,
        sent=(
            Sent(
                "send_email",
                "emails",
                max_attempts=5,
                timeout=30,
                returns={"status": "sent", "to": "user@example.com"},
            ),
            Sent(
                "send_email",
                "emails",
                max_attempts=5,
                timeout=30,
                delay=3600,
                returns={"status": "sent", "to": "newuser@example.com"},
            ),
        ),
    ),
    Block(
        "002/36_process_payment",
        given=RUNNER,
        sent=(
            Sent(
                "process_payment",
                "payments",
                max_attempts=10,
                retry_delay=30,
                timeout=60,
                returns={"status": "completed", "order_id": 456},
            ),
        ),
        prints=("Payment task dispatched: {0}", "Processing payment: $99.99 for user 123"),
    ),
    Block(
        "002/37_generate_report",
        given=RUNNER,
        sent=(
            Sent(
                "generate_report",
                "reports",
                timeout=3600,
                returns={"report_type": "monthly_sales", "generated_at": ANY, "user_id": 123},
            ),
        ),
        prints=("Report generation task dispatched: {0}", "Generating monthly_sales report"),
    ),
    Block(
        "002/38_process_image",
        given=RUNNER,
        sent=(
            Sent(
                "process_image",
                "images",
                timeout=300,
                returns={
                    "output": "/processed/photo.jpg",
                    "operations": ["resize", "optimize", "watermark"],
                },
            ),
        ),
        prints=("Image processing task dispatched: {0}",),
    ),
    Block(
        "002/39_deliver_webhook",
        given=RUNNER,
        sent=(
            Sent(
                "deliver_webhook",
                "webhooks",
                max_attempts=5,
                retry_delay=120,
                timeout=10,
                returns={"status_code": 200},
            ),
        ),
        prints=("Webhook task dispatched: {0}",),
    ),
    Block(
        "002/40_sync_user_data",
        given=RUNNER,
        sent=(
            Sent(
                "sync_user_data",
                "sync",
                retry_delay=300,
                delay=300,
                returns={"synced": True, "user_id": 123},
            ),
        ),
        prints=("Sync task dispatched: {0}",),
    ),
    Block(
        "002/41_process_batch",
        given=RUNNER,
        sent=(
            Sent(
                "process_batch",
                "batch",
                timeout=1800,
                returns={"batch_id": "batch-2024-01-15", "processed": 3},
            ),
        ),
        prints=("Batch processing task dispatched: {0}",),
    ),
    Block(
        "002/42_send_email",
        then="await critical_task(data={'key': 'value'}).dispatch()",  # commented out in the block
        sent=(
            Sent("send_email", "emails", returns="Email sent to user@example.com"),
            Sent("send_email", "emails", delay=60, returns="Email sent to user@example.com"),
            Sent("send_email", "emails", delay=30, returns="Email sent to user@example.com"),
            Sent(
                "process_payment",
                "payments",
                max_attempts=10,
                retry_delay=30,
                timeout=60,
                returns={"status": "completed", "user_id": 123},
            ),
            Sent("generate_report", "reports", timeout=300, returns="Report 1 generated"),
            Sent("critical_task"),
        ),
        prints=(
            "   Task ID: {0}",
            "   Task ID: {1} (will execute in 60s)",
            "   Task ID: {2}",
            "   Task ID: {3}",
            "   Task ID: {4}",
            "=== All tasks dispatched! ===",
        ),
    ),
    Block("002/43_init", then="assert asynctasq.default_app().settings.driver_name == 'sqlite'"),
    Block(
        "002/44_send_email",
        then="await send_email('a', subject='b').dispatch()",
        sent=(Sent("send_email", "emails"),),
        prints=("Sending email to a",),
    ),
    Block(
        "002/45_dispatch",
        continues="002/44_send_email",
        sent=(Sent("send_email", "emails"),),
        prints=("Task ID: {0}",),
    ),
    Block(
        "002/46_call_external_api",
        given=f"{TASK}\n{HTTPX}",
        then=f"""
await call_external_api({USER!r}).dispatch()
await call_external_api('https://example.com/down').dispatch()
""",
        sent=(
            Sent("call_external_api", "api", returns={"url": USER}),
            Sent("call_external_api", "api", dies_of="ConnectError", runs=3),
        ),
        prints=("API call failed: no connection to https://example.com/down",),
    ),
    Block(
        "002/47_create_user_account",
        given=f"""
{TASK}
from dataclasses import dataclass

@dataclass
class User:
    id: int
    email: str

async def create_user(email, name):
    return User(12, email)

@task
async def send_welcome_email(user):
    return user.email

async def store_task_reference(user_id, kind, task_id):
    print(user_id, kind, task_id)
""",
        then="await create_user_account('a@example.com', 'A')",
        sent=(Sent("send_welcome_email", returns="a@example.com"),),
        prints=("12 welcome_email {0}",),
    ),
)
