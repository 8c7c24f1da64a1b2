from asynctasq.tasks import AsyncTask
from typing import Dict, Any

class ProcessOrder(AsyncTask[Dict[str, Any]]):
    """Process an order and return status."""

    queue = "orders"

    def __init__(self, order_id: int, user_id: int, **kwargs):
        super().__init__(**kwargs)
        self.order_id = order_id
        self.user_id = user_id

    async def execute(self) -> Dict[str, Any]:
        """Process the order."""
        # Order processing logic
        return {
            "order_id": self.order_id,
            "status": "processed",
            "user_id": self.user_id
        }
