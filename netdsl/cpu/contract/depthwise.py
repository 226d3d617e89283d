"""Depthwise convolution: every channel is convolved with a kernel of its own, so channels are the vectors.

No GEMM fits, since nothing is summed over channels. The kernels here take the taps that a stretch of pixels has;
pixels at the border have fewer.
"""

from __future__ import annotations

from netdsl.backend.arguments import layout_of
from netdsl.cpu.codegen.channels import channel_blocks, load, store
from netdsl.cpu.codegen.library import Kernel
from netdsl.cpu.contract.arguments import DepthwiseCall, Tap
from netdsl.native.emit import Emitter, Fields, Value

# Pixels and vectors of a tile of sums; taps and vectors of a tile of weight gradients.
PIXELS, VECTORS = 6, 2
TAPS, TAP_VECTORS = 3, 2


def kernels() -> dict[str, Kernel]:
    """Return the kernels of stretches of pixels under their names."""
    return {"depthwise_sums": Kernel(_sums, 7), "depthwise_products": Kernel(_products, 6)}


def _tap(e: Emitter, taps: Value, number: Value) -> Fields:
    return e.fields(e.add(taps, e.mul(number, 8 * layout_of(Tap).words)), Tap)


def _sums(e: Emitter) -> None:
    """(block, x, y, taps, tap_count, bias, residual): `pixels` results from the taps (offset in x, in w) they have.

    `bias` and `residual` may be 0.
    """
    block, x, y, taps, tap_count, bias, residual = e.args
    call = e.fields(block, DepthwiseCall)
    channels, pixels, low, high = call.channels, call.pixels, e.splat(call.low), e.splat(call.high)
    x_pixel, y_pixel, weights = call.x_pixel, call.y_pixel, call.w
    has_bias, has_residual = (e.b.icmp_signed("!=", a, e.i64(0)) for a in (bias, residual))

    def tile(height: int, first: Value, channel: Value, vectors: int, count: Value | None) -> None:
        """`height` pixels from `first` on, some vectors of channels."""
        at_x = e.add(e.add(x, channel), e.mul(first, x_pixel))
        zero = e.constant(e.f32s, 0)
        moves = [v * e.bytes for v in range(vectors)]
        start = e.choose(
            has_bias,
            lambda: [load(e, e.add(e.add(bias, channel), move), count) for move in moves],
            lambda: [zero] * vectors,
        )
        with e.loop(0, tap_count, 1, start * height) as loop:
            tap = _tap(e, taps, loop.index)
            at_w = e.add(e.add(weights, channel), tap.weight)
            weight = [load(e, e.add(at_w, move), count) for move in moves]
            at = e.add(at_x, tap.at)
            pixels_at = [e.add(at, e.mul(x_pixel, p)) for p in range(height)]
            inputs = [load(e, e.add(pixel, move), count) for pixel in pixels_at for move in moves]
            sums = zip(inputs, weight * height, loop.carried, strict=True)
            loop.next(*(e.fma(v, w, s) for v, w, s in sums))
        place = e.add(e.mul(first, y_pixel), channel)
        places = [e.add(e.add(place, e.mul(y_pixel, p)), move) for p in range(height) for move in moves]
        total = e.choose(
            has_residual,
            lambda: [
                e.b.fadd(s, load(e, e.add(residual, at), count))
                for s, at in zip(loop.results, places, strict=True)
            ],
            lambda: loop.results,
        )
        for s, at in zip(total, places, strict=True):
            store(e, e.minimum(e.maximum(s, low), high), e.add(y, at), count)

    def all_pixels(channel: Value, vectors: int, count: Value | None) -> None:
        whole = e.b.sub(pixels, e.b.srem(pixels, e.i64(PIXELS)))
        with e.loop(0, whole, PIXELS) as loop:
            tile(PIXELS, loop.index, channel, vectors, count)
        with e.loop(whole, pixels) as loop:
            tile(1, loop.index, channel, vectors, count)

    channel_blocks(e, channels, VECTORS, all_pixels)


def _products(e: Emitter) -> None:
    """(block, x, y, taps, tap_count, _): add to each tap's weights the products of `pixels` inputs and gradients."""
    block, x, y, taps, tap_count, _ = e.args
    call = e.fields(block, DepthwiseCall)
    channels, pixels = call.channels, call.pixels
    x_pixel, y_pixel, weights = call.x_pixel, call.y_pixel, call.w

    def tile(height: int, first: Value, channel: Value, vectors: int, count: Value | None) -> None:
        """`height` taps from `first` on."""
        entries = [_tap(e, taps, e.add(first, t)) for t in range(height)]
        places = [
            e.add(e.add(e.add(weights, channel), entry.weight), v * e.bytes)
            for entry in entries
            for v in range(vectors)
        ]
        starts = [e.add(e.add(x, channel), entry.at) for entry in entries]
        old = [load(e, place, count) for place in places]
        with e.loop(0, pixels, 1, [e.add(y, channel), *starts, *old]) as loop:
            at_y, *rest = loop.carried
            inputs, sums = rest[:height], rest[height:]
            gradients = [load(e, e.add(at_y, v * e.bytes), count) for v in range(vectors)]
            new = [
                e.fma(load(e, e.add(inputs[t], v * e.bytes), count), gradients[v], sums[t * vectors + v])
                for t in range(height)
                for v in range(vectors)
            ]
            loop.next(e.add(at_y, y_pixel), *(e.add(a, x_pixel) for a in inputs), *new)
        for value, place in zip(loop.results[1 + height :], places, strict=True):
            store(e, value, place, count)

    def all_taps(channel: Value, vectors: int, count: Value | None) -> None:
        whole = e.b.sub(tap_count, e.b.srem(tap_count, e.i64(TAPS)))
        with e.loop(0, whole, TAPS) as loop:
            tile(TAPS, loop.index, channel, vectors, count)
        with e.loop(whole, tap_count) as loop:
            tile(1, loop.index, channel, vectors, count)

    channel_blocks(e, channels, TAP_VECTORS, all_taps)
