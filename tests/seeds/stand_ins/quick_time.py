"""time for the blocks: sleeping takes none. They use nothing else of it."""


def sleep(seconds: float) -> None:
    assert seconds >= 0
