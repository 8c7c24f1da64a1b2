from sqlalchemy.ext.asyncio import create_async_engine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from asynctasq.tasks import AsyncTask

# Define models
class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = 'users'
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]

class Order(Base):
    __tablename__ = 'orders'
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int]
    total: Mapped[float]

# Setup SQLAlchemy
engine = create_async_engine(
    'postgresql+asyncpg://user:pass@localhost/db',
    pool_pre_ping=True,  # Verify connections are alive
    pool_recycle=3600,   # Recycle connections after 1 hour
)
async_session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)

# Configure session factory - one line! Workers create sessions automatically
Base._asynctasq_session_factory = async_session

# For multiprocessing workers, use NullPool instead:
# from sqlalchemy.pool import NullPool
# engine = create_async_engine(dsn, poolclass=NullPool, pool_pre_ping=True)
# async_session = async_sessionmaker(engine, expire_on_commit=False)
# Base._asynctasq_session_factory = async_session

# Task with ORM model parameter
class SendWelcomeEmail(AsyncTask[None]):
    queue = "emails"

    def __init__(self, user: User, **kwargs):
        super().__init__(**kwargs)
        self.user = user

    async def execute(self) -> None:
        """User is automatically serialized as reference and fetched fresh."""
        print(f"Sending welcome email to {self.user.email} (ID: {self.user.id})")
        # User data is fresh from database when task executes

class ProcessOrder(AsyncTask[None]):
    queue = "orders"

    def __init__(self, order: Order, user: User, **kwargs):
        super().__init__(**kwargs)
        self.order = order
        self.user = user

    async def execute(self) -> None:
        """Multiple ORM models supported."""
        print(f"Processing order {self.order.id} for user {self.user.name}")
        # Both models are fetched fresh in parallel

# Dispatch tasks
async def main():
    async with async_session() as session:
        # Fetch user
        user = await session.get(User, 1)

        # Only user.id is serialized to queue (90%+ payload reduction)
        task_id = await SendWelcomeEmail(user=user).dispatch()

        # Multiple models
        order = await session.get(Order, 100)
        task_id = await ProcessOrder(order=order, user=user).dispatch()
