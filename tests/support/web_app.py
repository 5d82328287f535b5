"""An aiohttp application on loopback."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web


@contextlib.asynccontextmanager
async def listening(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """Serve an application while the context lasts, and give its URL. `options` are those of aiohttp's runner."""
    runner = web.AppRunner(app, **{"shutdown_timeout": 1.0, **options})
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
