"""The limits of a WebSocket's frames and messages, however the bytes arrive."""

import pytest

from pulumi_llm_local.services.api_gateway.websocket_frames import FrameLimit

KIB = 1024


def frame(size: int, *, final: bool = True, opcode: int = 1) -> bytes:
    """A client's frame, whose payload is masked."""
    first = (0x80 if final else 0) | opcode
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([first, 0x80 | 126, *size.to_bytes(2)])
    else:
        head = bytes([first, 0x80 | 127, *size.to_bytes(8)])
    return head + b"mask" + b"x" * size


class Parser:
    def __init__(self) -> None:
        self.fed = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.fed += data
        return False, b""


# Frames -> whether they are within the limits.
FRAMES: dict[str, tuple[list[bytes], bool]] = {
    "small ones": ([frame(0), frame(125), frame(126), frame(70)], True),
    "the largest": ([frame(32 * KIB)], True),
    "too large": ([frame(32 * KIB + 1)], False),
    "far too large": ([frame(70_000)], False),
    "the largest message": ([frame(32 * KIB, final=False), *[frame(32 * KIB, final=n == 2, opcode=0) for n in range(3)]], True),
    "a message too large": ([*[frame(32 * KIB, final=False, opcode=0) for _ in range(4)], frame(1, opcode=0)], False),
    "a ping within a message": ([frame(32 * KIB, final=False), frame(9, opcode=9), frame(1, opcode=0), frame(32 * KIB)], True),
    "many messages": ([frame(30 * KIB) for _ in range(9)], True),
}


@pytest.mark.parametrize("portion", [1_000_000, 4096, 7])
@pytest.mark.parametrize(("frames", "allowed"), FRAMES.values(), ids=FRAMES)
def test_limits(frames: list[bytes], allowed: bool, portion: int) -> None:
    parser, refusals = Parser(), list[bool]()
    limit = FrameLimit(parser, lambda: refusals.append(True))
    data = b"".join(frames)
    for start in range(0, len(data), portion):
        limit.feed_data(data[start : start + portion])
    assert refusals == ([] if allowed else [True])
    assert (parser.fed == data) is allowed
