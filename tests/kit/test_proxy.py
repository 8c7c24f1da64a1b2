"""The TCP proxy fails in each of the ways in which networks fail, when it is told to."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import pytest_asyncio

from asynctasq.conformance import TcpProxy

MakeProxy = Callable[[str], TcpProxy]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SimpleNamespace]:
    """Answers each line in capitals, and tells how its connections end."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
            ends.put_nowait("closed")
        except ConnectionResetError:
            ends.put_nowait("reset")
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with asyncio.timeout(60):
        yield SimpleNamespace(address=f"127.0.0.1:{port}", ends=ends)
    listening.close()


@pytest.fixture
def proxy(server: SimpleNamespace, asynctasq_proxy: MakeProxy) -> TcpProxy:
    return asynctasq_proxy(server.address)


@asynccontextmanager
async def client_of(
    proxy: TcpProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes) -> bytes:
    reader, writer = client
    writer.write(line + b"\n")
    return (await reader.readline()).rstrip()


async def test_passes_everything_on(proxy: TcpProxy) -> None:
    async with client_of(proxy) as one, client_of(proxy) as two:
        assert await ask(one, b"hello") == b"HELLO"
        assert await ask(two, b"x" * 60_000) == b"X" * 60_000
        assert proxy.connections == 2


async def test_the_server_learns_that_a_client_was_killed(
    proxy: TcpProxy, server: SimpleNamespace
) -> None:
    """A process that ends with data it has not read resets its connections."""
    async with client_of(proxy) as client:
        assert await ask(client, b"hello") == b"HELLO"
        connection = client[1].get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client[1].transport.abort()
        assert await server.ends.get() in {"closed", "reset"}


async def test_the_end_of_one_side_is_the_end_of_the_other(
    proxy: TcpProxy, server: SimpleNamespace
) -> None:
    async with client_of(proxy) as client:
        await ask(client, b"hello")
        client[1].write_eof()
        assert await server.ends.get() == "closed"
        assert await client[0].read() == b""


async def test_serves_blocking_clients_in_the_thread_of_the_loop(proxy: TcpProxy) -> None:
    def blocking() -> bytes:
        with socket.create_connection((proxy.host, proxy.port)) as connection:
            connection.sendall(b"hello\n")
            return connection.recv(100)

    assert await asyncio.to_thread(blocking) == b"HELLO\n"


async def test_cut_ends_connections_and_takes_new_ones(proxy: TcpProxy) -> None:
    async with client_of(proxy) as client:
        await ask(client, b"hello")
        proxy.cut()
        assert await client[0].read() == b""
        assert proxy.connections == 0
    async with client_of(proxy) as client:
        assert await ask(client, b"again") == b"AGAIN"


async def test_reset_is_told_to_both_sides_as_such(
    proxy: TcpProxy, server: SimpleNamespace
) -> None:
    async with client_of(proxy) as client:
        await ask(client, b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await client[0].read()
        assert await server.ends.get() == "reset"


async def test_frozen_connections_are_half_open(proxy: TcpProxy) -> None:
    async with client_of(proxy) as client:
        await ask(client, b"hello")
        proxy.freeze()
        client[1].write(b"lost?\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client[0].readline()
        async with client_of(proxy) as other:  # is taken, and hears nothing either
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ask(other, b"anyone?")
        proxy.thaw()
        assert await client[0].readline() == b"LOST?\n"


async def test_a_frozen_connection_can_be_cut(proxy: TcpProxy) -> None:
    async with client_of(proxy) as client:
        proxy.freeze()
        client[1].write(b"lost\n")
        proxy.cut()
        assert await client[0].read() == b""


async def test_refuses_until_told_to_accept_on_the_same_port(proxy: TcpProxy) -> None:
    async with client_of(proxy) as client:
        await ask(client, b"hello")
        proxy.refuse()
        assert await client[0].read() == b""
    with pytest.raises(ConnectionRefusedError):
        async with client_of(proxy):
            pass
    proxy.accept()
    async with client_of(proxy) as client:
        assert await ask(client, b"hello") == b"HELLO"


async def test_delay_holds_data_up(proxy: TcpProxy) -> None:
    proxy.delay = 0.02
    started = time.monotonic()
    async with client_of(proxy) as client:
        assert await ask(client, b"hello") == b"HELLO"
    assert (
        time.monotonic() - started >= 0.04
    )  # there and back: never less, however busy the machine


async def test_what_is_delayed_less_overtakes_nothing(proxy: TcpProxy) -> None:
    async with client_of(proxy) as client:
        reader, writer = client
        for delay, word in ((0.05, b"one\n"), (0.0, b"two\n"), (0.01, b"three\n")):
            proxy.delay = delay
            writer.write(word)
            await writer.drain()
        assert await reader.readexactly(14) == b"ONE\nTWO\nTHREE\n"


async def test_a_server_that_is_away_ends_the_connection(asynctasq_proxy: MakeProxy) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = asynctasq_proxy(f"127.0.0.1:{unused.getsockname()[1]}")
    async with client_of(proxy) as client:
        assert await client[0].read() == b""


def test_urls_keep_all_but_the_address() -> None:
    with TcpProxy("redis://user:p%40ss@localhost:6379/2?timeout=1") as proxy:
        assert proxy.url == f"redis://user:p%40ss@127.0.0.1:{proxy.port}/2?timeout=1"
    with pytest.raises(ValueError, match="names no port"):
        TcpProxy("redis://localhost/0")
