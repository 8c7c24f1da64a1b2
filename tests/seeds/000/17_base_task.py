class BaseTask:
    @classmethod
    def _extract_config_from_class(cls) -> dict[str, Any]:
        """Extract TaskConfig values from class attributes."""
        return {
            "queue": getattr(cls, "queue", "default"),
            "max_attempts": getattr(cls, "max_attempts", 3),
            "retry_delay": getattr(cls, "retry_delay", 60),
            "timeout": getattr(cls, "timeout", None),
        }

    def __init__(self, **kwargs):
        # Read configuration from class attributes
        config_values = self._extract_config_from_class()
        self.config = TaskConfig(**config_values)
        # ...
