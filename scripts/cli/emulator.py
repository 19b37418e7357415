"""The process of the local AWS: MiniStack, kept on the loopback interface.

MiniStack binds its MQTT listener to every interface, and port 443 on top of its own; neither has a
setting (1.5.33). Run as `python -m cli.emulator`, never imported by anything else.
"""

import asyncio
from typing import Any

import ministack.app

_create_server = asyncio.base_events.BaseEventLoop.create_server


async def _on_loopback(self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
    return await _create_server(self, factory, "127.0.0.1" if host == "0.0.0.0" else host, port, **options)


if __name__ == "__main__":
    asyncio.base_events.BaseEventLoop.create_server = _on_loopback  # type: ignore[method-assign, assignment]  # see above
    ministack.app._port_is_bindable = lambda host, port: False  # only asked about the second port, 443
    ministack.app.main()
