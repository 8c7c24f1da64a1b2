"""The way to run each code block of the second document: class tasks."""

import hashlib
from unittest.mock import ANY

from tests.seeds.blocks_000 import CLASSES
from tests.seeds.harness import Block, Correction, Sent
from tests.seeds.stand_ins.redis_driver import CUSTOM_STORE

RUNNER = "from asynctasq.utils.loop import run as uv_run"
DJANGO = "it needs a project: see test_django_blocks_run_in_a_project"
MODELS_HERE = Correction(
    "postgresql+asyncpg://user:pass@localhost/db",
    "sqlite+aiosqlite:///models.db",
    "the database is a file of the test",
)
ROWS = """
import sqlite3

database = sqlite3.connect("models.db")
database.executescript('''
    create table users (id integer primary key, email text, name text);
    create table orders (id integer primary key, user_id integer, total float);
    insert into users values (1, 'ada@example.com', 'Ada');
    insert into orders values (100, 1, 9.5);
''')
database.close()

async def stop():
    await engine.dispose()
"""
TORTOISE = """
import asynctasq
from tortoise import Tortoise

CONFIG = {
    "connections": {"default": "sqlite://models.db"},
    "apps": {"models": {"models": [__name__], "default_connection": "default"}},
}
asynctasq.init({"tortoise": {"config": CONFIG}})

async def start():
    await Tortoise.init(config=CONFIG)
    await Tortoise.generate_schemas()
    author = await User.create(id=1, email="ada@example.com", name="Ada")
    await Post.create(id=10, title="On engines", author=author)

async def stop():
    await Tortoise.close_connections()
"""
MATRIX = "large_matrix = np.array([4.0])"
USER = "https://example.com/users/1"

BLOCKS = (
    Block("001/01_runner", then="assert uv_run is asynctasq.run", given="import asynctasq"),
    Block(
        "001/02_send_notification",
        sent=(Sent("SendNotification", returns="Sent: Hello, World!"),),
        prints=("Task dispatched with ID: {0}", "Notification: Hello, World!"),
    ),
    Block(
        "001/03_process_data",
        sent=(Sent("ProcessData", returns=15),),
        prints=("Task dispatched: {0}",),
    ),
    Block(
        "001/04_simple_task",
        then="await SimpleTask().dispatch()",
        sent=(Sent("SimpleTask"),),
        prints=("Executing simple task",),
    ),
    Block(
        "001/05_send_email",
        then="await SendEmail(to='a', subject='b', body='c').dispatch()",
        sent=(
            Sent("SendEmail", "emails", max_attempts=5, retry_delay=120, timeout=30, returns=True),
        ),
        prints=("Sending email to a: b",),
    ),
    Block(
        "001/06_process_order",
        then="await ProcessOrder(1, user_id=2).dispatch()",
        sent=(
            Sent(
                "ProcessOrder",
                "orders",
                returns={"order_id": 1, "status": "processed", "user_id": 2},
            ),
        ),
    ),
    Block(
        "001/07_send_email",
        then="""
await SendEmail().dispatch()
await ProcessPayment().dispatch()
await SendPushNotification().dispatch()
""",
        sent=(
            Sent("SendEmail", "emails"),
            Sent("ProcessPayment", "payments"),
            Sent("SendPushNotification", "notifications"),
        ),
    ),
    Block(
        "001/08_charge_credit_card",
        then="""
await ChargeCreditCard().dispatch()
await ValidateData().dispatch()
await CallExternalAPI().dispatch()

class Invalid(ValidateData):
    async def execute(self):
        raise ValueError('not valid')

await Invalid().dispatch()
""",
        sent=(
            Sent("ChargeCreditCard", "payments", max_attempts=10, retry_delay=30, returns=True),
            Sent("ValidateData", "validation", max_attempts=0, returns=True),
            Sent("CallExternalAPI", "api-calls", max_attempts=5, retry_delay=300, returns={}),
            Sent("Invalid", "validation", max_attempts=0, dies_of="ValueError", runs=1),
        ),
    ),
    Block(
        "001/09_quick_operation",
        then="""
await QuickOperation().dispatch()
await GenerateReport().dispatch()
await BackgroundCleanup().dispatch()
""",
        sent=(
            Sent("QuickOperation", "quick", timeout=5),
            Sent("GenerateReport", "reports", timeout=3600, returns="report.pdf"),
            Sent("BackgroundCleanup", "background"),
        ),
    ),
    Block(
        "001/10_critical_operation",
        then="await CriticalOperation(data={'a': [1]}).dispatch()",
        sent=(
            Sent(
                "CriticalOperation",
                "critical",
                max_attempts=10,
                retry_delay=60,
                timeout=300,
                returns={"status": "completed"},
            ),
        ),
    ),
    Block(
        "001/11_process_order",
        then="await ProcessOrder(order_id=5).dispatch()",
        sent=(Sent("ProcessOrder", "orders", returns=True),),
        prints=("Processing order 5",),
    ),
    Block(
        "001/12_process_payment",
        then="""
await ProcessPayment(user_id=1, amount=9.5).dispatch()
async def tell(self, exception):
    print(f'refunded {self.user_id}: {exception} after attempt {self._current_attempt}')
ProcessPayment._notify_admins = tell
await ProcessPayment(user_id=2, amount=-1.0).dispatch()
""",
        sent=(
            Sent("ProcessPayment", "payments", returns=True),
            Sent("ProcessPayment", "payments", dies_of="ValueError", runs=3),
        ),
        prints=("refunded 2: Amount cannot be negative after attempt 2",),
    ),
    Block(
        "001/13_call_external_api",
        then="""
for name in ('users', 'missing', 'broken', 'down'):
    await CallExternalAPI('https://example.com/' + name).dispatch()
""",
        sent=(
            Sent("CallExternalAPI", "api", max_attempts=5, returns={"url": ANY}),
            Sent("CallExternalAPI", "api", max_attempts=5, dies_of="HTTPStatusError", runs=1),
            Sent("CallExternalAPI", "api", max_attempts=5, dies_of="HTTPStatusError", runs=5),
            Sent("CallExternalAPI", "api", max_attempts=5, dies_of="ConnectError", runs=5),
        ),
    ),
    Block(
        "001/14_smart_retry_task",
        then="""
task = SmartRetryTask()
assert task.should_retry(ValueError()) is False
assert task.should_retry(TimeoutError()) is True
assert task.should_retry(OSError('Temporary')) is True
assert task.should_retry(OSError()) is True

class Tried(SmartRetryTask):
    async def execute(self):
        raise KeyError(self._current_attempt) if self._current_attempt < 2 else ValueError()

await Tried().options(max_attempts=9).dispatch()
""",
        sent=(Sent("Tried", max_attempts=9, dies_of="ValueError", runs=3),),
    ),
    Block(
        "001/15_process_order",
        then="""
async def refuse(self):
    raise ConnectionError('no line')

async def tell(self):
    print('order', self.order_id, 'has failed')

await ProcessOrder(order_id=1, user_id=2).dispatch()
class Refused(ProcessOrder):
    _charge_payment, _notify_user_failure = refuse, tell
await Refused(order_id=3, user_id=4).dispatch()
""",
        sent=(
            Sent("ProcessOrder", "orders", returns={"order_id": 1, "status": "completed"}),
            Sent("Refused", "orders", dies_of="ConnectionError", runs=3),
        ),
        prints=("order 3 has failed",),
    ),
    Block(
        "001/16_send_email",
        sent=(Sent("SendEmail", "emails", returns=True),),
        prints=("Task ID: {0}", "Sending email to user@example.com"),
    ),
    Block(
        "001/17_send_reminder",
        sent=(Sent("SendReminder", "reminders", delay=60),),
        prints=(
            "Task will execute after 60 seconds: {0}",
            "Sending reminder to user 123: Don't forget to complete your profile!",
        ),
    ),
    Block(
        "001/18_fetch_user_data",
        then="await FetchUserData(user_id=1).dispatch()",
        sent=(Sent("FetchUserData", "api", returns={"url": "https://api.example.com/users/1"}),),
    ),
    Block(
        "001/19_fetch_web_page",
        then=f"await FetchWebPage({USER!r}).dispatch()",
        sent=(Sent("FetchWebPage", "web-scraping", returns=f"page of {USER}"),),
    ),
    Block(
        "001/20_process_video_async",
        then="await ProcessVideoAsync('a.mp4').dispatch()",
        sent=(
            Sent(
                "ProcessVideoAsync",
                "video-processing",
                timeout=600,
                returns={"frames": 2},
                in_process=True,
            ),
        ),
    ),
    Block(
        "001/21_process_large_dataset",
        then="await ProcessLargeDataset([1.0, 2.0]).dispatch()",
        sent=(
            Sent(
                "ProcessLargeDataset",
                "data-processing",
                timeout=600,
                returns={"mean": 1.5, "std": 0.0},
                in_process=True,
            ),
        ),
    ),
    Block(
        "001/22_worker",
        given="""
import asyncio
from asynctasq.drivers.sqlite import SqliteDriver

driver = SqliteDriver()

async def stop_soon():
    while 'worker' not in globals():
        await asyncio.sleep(0)
    worker.stop()
""",
        corrections=(
            Correction(
                "# Configure process pool size (default: CPU count)",
                "stopping = asyncio.create_task(stop_soon())",
                "the test has to stop it: a worker runs until then",
            ),
        ),
        then="assert stopping.done() and not worker.stuck",
    ),
    Block(
        "001/23_run_inference",
        given=CLASSES,
        then="""
await RunInference('model.bin', input_data=[0.5]).dispatch()
await ProcessImageBatch(image_paths=['a.jpg']).dispatch()
await EncryptData(data=b'secret', key=b'key').dispatch()
""",
        sent=(
            Sent(
                "RunInference",
                "ml-inference",
                timeout=300,
                returns={"predictions": [0.5], "confidence": 0.5},
                in_process=True,
            ),
            Sent(
                "ProcessImageBatch",
                "image-processing",
                returns=["a_processed.jpg"],
                in_process=True,
            ),
            Sent("EncryptData", "encryption", returns=b"terces", in_process=True),
        ),
    ),
    Block("001/24_pool_sizes", then="assert process_pool_size >= 0"),
    Block(
        "001/25_fetch_api",
        given=f"{CLASSES}\nimport httpx\nimport numpy as np\nurl = {USER!r}\n{MATRIX}",
        then="""
await FetchAPI().dispatch()
await ParseCSV(path='a.csv').dispatch()
await TrainModel().on_queue('training').dispatch()
""",
        sent=(
            Sent("FetchAPI", returns={"url": USER}),
            Sent("ParseCSV", returns=[{"path": "a.csv"}]),
            Sent("TrainModel", "training", returns=4.0, in_process=True),
        ),
    ),
    Block(
        "001/26_async_operation",
        sent=(
            Sent("AsyncOperation", "io-tasks", returns="Fetched: async"),
            Sent("SyncOperation", "sync-tasks", returns="Computed: sync"),
            Sent(
                "ProcessOperation",
                "cpu-tasks",
                returns=hashlib.pbkdf2_hmac("sha256", b"process", b"salt", 100000).hex(),
                in_process=True,
            ),
        ),
    ),
    Block(
        "001/27_critical_task",
        then="""
await CriticalTask().dispatch()
await AWSTask().dispatch()
await NormalTask().dispatch()
""",
        sent=(
            Sent("CriticalTask", "critical"),
            Sent("AWSTask", "aws-tasks"),
            Sent("NormalTask", "normal"),
        ),
        prints=("Processing normal task",),
    ),
    Block(
        "001/28_custom_driver_task",
        sent=(Sent("CustomDriverTask", "custom", returns={"key": "value"}),),
        prints=("Task dispatched: {0}", "Using custom driver: {'key': 'value'}"),
        store=CUSTOM_STORE,
    ),
    Block(
        "001/29_redis_task",
        then="""
await PostgresTask().dispatch()
await SQSTask().dispatch()
await RedisTask().dispatch()
""",
        sent=(
            Sent("PostgresTask", "postgres-queue"),
            Sent("SQSTask", "sqs-queue"),
            Sent("RedisTask", "default-queue"),  # the second class of that name
        ),
    ),
    Block(
        "001/30_base",
        given=ROWS,
        corrections=(MODELS_HERE,),
        sent=(Sent("SendWelcomeEmail", "emails"), Sent("ProcessOrder", "orders")),
        prints=(
            "Sending welcome email to ada@example.com (ID: 1)",
            "Processing order 100 for user Ada",
        ),
    ),
    Block("001/31_user", left_out=DJANGO),
    Block(
        "001/32_user",
        given=TORTOISE,
        sent=(Sent("NotifyNewPost", "notifications"),),
        prints=("New post 'On engines' by Ada",),
    ),
    Block(
        "001/33_pattern",
        given="""
from asynctasq.tasks import AsyncTask

value = 'a'

class TaskClass(AsyncTask[str]):
    async def execute(self) -> str:
        return self.param
""",
        sent=(Sent("TaskClass", "queue", delay=60, returns="a"),),
    ),
    Block(
        "001/34_process_data",
        sent=(Sent("ProcessData", delay=60),),
        prints=("Processing: data",),
    ),
    Block(
        "001/35_send_notification",
        sent=(
            Sent("SendNotification", "high-priority"),
            Sent("SendNotification", "low-priority", delay=300),
        ),
        prints=("Notification: urgent", "Notification: reminder"),
    ),
    Block(
        "001/36_call_api",
        sent=(Sent("CallAPI", "api", retry_delay=120, returns={}),),
        prints=("Calling https://api.example.com/data",),
    ),
    Block(
        "001/37_complex_task",
        sent=(Sent("ComplexTask", "critical", retry_delay=180, delay=30),),
        prints=("Processing: {'key': 'value'}",),
    ),
    Block(
        "001/38_my_task",
        then="await MyTask().dispatch()",
        sent=(Sent("MyTask"),),
        prints=("Task ID: {0}", "Attempt: 0", "Dispatched at: 20"),
    ),
    Block(
        "001/39_logged_task",
        then="""
import logging
logging.getLogger(__name__).setLevel(logging.INFO)
logging.getLogger(__name__).addFilter(lambda r: print(r.getMessage(), r.task_id, r.dispatched_at) or True)
await LoggedTask().dispatch()
""",
        sent=(Sent("LoggedTask", returns={"status": "completed"}),),
        prints=("Task {0} executing (attempt 1) {0} 20",),
    ),
    Block(
        "001/40_smart_retry_task",
        then="""
ways = []
def way(name):
    async def take(self):
        ways.append((self._current_attempt, name))
        if len(ways) == 5:
            print(ways)
        raise OSError(name)
    return take

SmartRetryTask._fast_method = way('fast')
SmartRetryTask._standard_method = way('standard')
SmartRetryTask._fallback_method = way('fallback')
await SmartRetryTask().dispatch()
""",
        sent=(Sent("SmartRetryTask", max_attempts=5, dies_of="OSError", runs=5),),
        prints=(
            "[(0, 'standard'), (1, 'fast'), (2, 'standard'), (3, 'fallback'), (4, 'fallback')]",
        ),
    ),
    Block(
        "001/41_send_email",
        given=RUNNER,
        sent=(
            Sent(
                "SendEmail",
                "emails",
                max_attempts=5,
                timeout=30,
                returns={"status": "sent", "to": "user@example.com"},
            ),
            Sent(
                "SendEmail",
                "emails",
                max_attempts=5,
                timeout=30,
                delay=3600,
                returns={"status": "sent", "to": "newuser@example.com"},
            ),
        ),
        prints=(
            "Sending email to user@example.com: Welcome!",
            "Sending email to newuser@example.com: Getting Started",
        ),
    ),
    Block(
        "001/42_process_payment",
        given=RUNNER,
        sent=(
            Sent(
                "ProcessPayment",
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
        "001/43_generate_report",
        given=RUNNER,
        sent=(
            Sent(
                "GenerateReport",
                "reports",
                timeout=3600,
                returns={"report_type": "monthly_sales", "generated_at": ANY, "user_id": 123},
            ),
        ),
        prints=("Report generation task dispatched: {0}", "Generating monthly_sales report"),
    ),
    Block(
        "001/44_process_image",
        given=RUNNER,
        sent=(
            Sent(
                "ProcessImage",
                "images",
                timeout=300,
                returns={
                    "output": "/processed/photo.jpg",
                    "operations": ["resize", "optimize", "watermark"],
                },
            ),
        ),
        prints=("Image processing task dispatched: {0}", "Processing image: /uploads/photo.jpg"),
    ),
    Block(
        "001/45_deliver_webhook",
        given=RUNNER,
        sent=(
            Sent(
                "DeliverWebhook",
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
        "001/46_sync_user_data",
        given=RUNNER,
        sent=(
            Sent(
                "SyncUserData",
                "sync",
                retry_delay=300,
                delay=300,
                returns={"synced": True, "user_id": 123},
            ),
        ),
        prints=("Sync task dispatched: {0}", "Syncing user 123 from crm to analytics"),
    ),
    Block(
        "001/47_process_batch",
        given=RUNNER,
        sent=(
            Sent(
                "ProcessBatch",
                "batch",
                timeout=1800,
                returns={"batch_id": "batch-2024-01-15", "processed": 3},
            ),
        ),
        prints=("Batch processing task dispatched: {0}", "with 3 items"),
    ),
    Block(
        "001/48_send_email",
        given=f"{RUNNER}\nfrom asynctasq.tasks import SyncTask",
        then="await CriticalTask(data={'key': 'value'}).dispatch()",  # commented out in the block
        sent=(
            Sent("SendEmail", "emails", returns="Email sent to user@example.com"),
            Sent("SendEmail", "emails", delay=60, returns="Email sent to user@example.com"),
            Sent("SendEmail", "emails", delay=30, returns="Email sent to user@example.com"),
            Sent(
                "ProcessPayment",
                "payments",
                max_attempts=10,
                retry_delay=30,
                timeout=60,
                returns={"status": "completed", "user_id": 123},
            ),
            Sent("GenerateReport", "reports", timeout=300, returns="Report 1 generated"),
            Sent("CriticalTask", "critical"),
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
    Block("001/49_init", then="assert asynctasq.default_app().settings.driver_name == 'sqlite'"),
    Block(
        "001/50_send_email",
        then="await SendEmail('a', 'b').dispatch()",
        sent=(Sent("SendEmail", "emails", returns=True),),
        prints=("Sending email to a",),
    ),
    Block(
        "001/51_dispatch",
        continues="001/50_send_email",
        sent=(Sent("SendEmail", "emails", returns=True),),
        prints=("Task ID: {0}",),
    ),
    Block(
        "001/52_call_external_api",
        then=f"""
await CallExternalAPI(url={USER!r}).dispatch()
await CallExternalAPI(url='https://example.com/down').dispatch()
await CallExternalAPI(url='https://example.com/missing').dispatch()
""",
        sent=(
            Sent("CallExternalAPI", "api", returns={"url": USER}),
            Sent("CallExternalAPI", "api", dies_of="ConnectError", runs=3),
            Sent("CallExternalAPI", "api", dies_of="HTTPStatusError", runs=1),
        ),
        prints=("API call failed: no connection to https://example.com/down",),
    ),
    Block(
        "001/53_send_welcome_email",
        then="""
from types import SimpleNamespace

class Accounts(CreateUserAccount):
    async def _create_user(self, email, name):
        return SimpleNamespace(id=12)

    async def _store_task_reference(self, user_id, kind, task_id):
        assert isinstance(task_id, str)
        print(user_id, kind, task_id)

await Accounts().create_user('a@example.com', 'A')
""",
        sent=(Sent("SendWelcomeEmail", "emails"),),
        prints=("12 welcome_email {0}",),
    ),
    Block(
        "001/54_send_email",
        then="await test_send_email()\nawait test_send_email_failed()",
    ),
)
