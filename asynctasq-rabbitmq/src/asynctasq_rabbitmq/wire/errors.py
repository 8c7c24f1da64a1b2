"""Errors of the client: the broker closed a channel, or the connection is gone."""

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, NOT_ALLOWED = 403, 404, 406, 530


class ChannelClosed(Exception):
    """The broker has closed a channel, because a call was not valid or not allowed.

    `code` and `text` are those of the broker; 0 if the channel was closed on this side.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})" if code else text)
        self.code = code
        self.text = text


class ConnectionLost(Exception):
    """A connection ended, or could not be made.

    `code` is that of the broker if it closed the connection, otherwise 0.
    """

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(f"{text} ({code})" if code else text)
        self.code = code
        self.text = text
