"""HTTPS: a server is believed by its certificate only."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Dev

from ponycloud import Cloud, aio, errors


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, its key behind it."""
    directory = tmp_path_factory.mktemp("tls")
    key, cert = directory / "key.pem", directory / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True, timeout=60)
    both = directory / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    return both


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
def https(dev: Dev, certificate: Path) -> Iterator[str]:
    """Sparkle behind a proxy that ends TLS."""
    target = urlsplit(dev.url)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: list[int] = []
    writers: list[asyncio.StreamWriter] = []
    listening = threading.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        writers.extend((writer, far_writer))
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def serve() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
        ready.append(server.sockets[0].getsockname()[1])
        listening.set()
        await stop.wait()
        server.close()
        for writer in writers:
            writer.transport.abort()
        # They end in the loop's next turns.
        await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert listening.wait(60)
    yield f"https://127.0.0.1:{ready[0]}"
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_a_trusted_certificate(dev: Dev, https: str, certificate: Path) -> None:
    with Cloud(https, auth=dev.auth, cafile=str(certificate)) as cloud:
        assert len(cloud.host.list()) >= 3

    async def ask() -> int:
        async with aio.Cloud(https, auth=dev.auth, cafile=str(certificate)) as cloud:
            return len(await cloud.host.list())

    assert asyncio.run(ask()) >= 3


def test_a_stranger(dev: Dev, https: str) -> None:
    with pytest.raises(errors.Unreachable, match="certificate verify failed"):
        Cloud(https, auth=dev.auth)


def test_credentials_do_not_go_unencrypted_unnoticed() -> None:
    with pytest.warns(UserWarning, match="unencrypted"), pytest.raises(errors.CloudError):
        Cloud("http://192.0.2.1:9", auth="me@example.org:secret", timeout=0.2)
