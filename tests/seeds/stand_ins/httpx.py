"""Instead of httpx: answers by the last part of the address."""

from types import TracebackType
from typing import Any, Self


class HTTPError(Exception):
    """Base of all."""


class TimeoutException(HTTPError):
    """Too late."""


class ConnectError(HTTPError):
    """An error for a host that does not answer."""


class HTTPStatusError(HTTPError):
    """The answer says no."""

    def __init__(self, response: "Response") -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


class Response:
    def __init__(self, url: str, status_code: int) -> None:
        self.url = url
        self.status_code = status_code

    def json(self) -> dict[str, str]:
        return {"url": self.url}

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise HTTPStatusError(self)


class AsyncClient:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    async def get(self, url: str, **_: Any) -> Response:
        match url.rpartition("/")[2]:
            case "missing":
                return Response(url, 404)
            case "broken":
                return Response(url, 503)
            case "down":
                raise ConnectError(f"no connection to {url}")
            case _:
                return Response(url, 200)

    async def post(self, url: str, **_: Any) -> Response:
        return await self.get(url)
