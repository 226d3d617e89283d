"""Loops of kernels whose vectors are neighbouring channels: whole vectors, and a last one of which a part exists."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.native.emit import Emitter, Value


def channel_blocks(
    e: Emitter, channels: Value, vectors: int, body: Callable[[Value, int, Value | None], None]
) -> None:
    """Call `body(offset in bytes, vectors, count)` for blocks of channels; the last has only `count` of a vector."""
    step = vectors * e.lanes
    whole = e.b.sub(channels, e.b.srem(channels, e.i64(step)))
    with e.loop(0, whole, step) as loop:
        body(e.mul(loop.index, 4), vectors, None)
    if vectors > 1:
        ones = e.b.sub(channels, e.b.srem(channels, e.i64(e.lanes)))
        with e.loop(whole, ones, e.lanes) as loop:
            body(e.mul(loop.index, 4), 1, None)
        whole = ones
    with e.when(e.less(whole, channels)):
        body(e.mul(whole, 4), 1, e.sub(channels, whole))


def load(e: Emitter, address: Value, count: Value | None) -> Value:
    """A vector, or its first `count` channels and zeros."""
    return e.load(e.f32s, address) if count is None else e.load_part(e.f32s, address, count)


def store(e: Emitter, value: Value, address: Value, count: Value | None) -> None:
    """A vector, or its first `count` channels."""
    if count is None:
        e.store(value, address)
    else:
        e.store_part(value, address, count)
