from asynctasq.tasks import AsyncTask
import logging

logger = logging.getLogger(__name__)

class LoggedTask(AsyncTask[dict]):
    queue = "default"

    async def execute(self) -> dict:
        logger.info(
            f"Task {self._task_id} executing (attempt {self._current_attempt + 1})",
            extra={
                "task_id": self._task_id,
                "attempt": self._current_attempt,
                "dispatched_at": self._dispatched_at.isoformat() if self._dispatched_at else None
            }
        )
        return {"status": "completed"}
