"""The kernels whose PTX lies beside this file, as numba.cuda reads them; `python make.py` compiles them again."""

import math
import re

from llvmlite import ir
from numba import cuda, types
from numba.cuda import float32, int32, uint16
from numba.cuda.extending import intrinsic

F1, I1, H1 = float32[::1], int32[::1], uint16[::1]
WORD, SINGLE = ir.IntType(32), ir.FloatType()


@intrinsic
def load4(typing, array, index):
    """Four neighbouring float32 at once."""
    signature = types.UniTuple(types.float32, 4)(array, types.int32)

    def generate(context, b, signature, args):
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        pointer = b.bitcast(b.gep(data, [args[1]]), ir.VectorType(SINGLE, 4).as_pointer())
        loaded = b.load(pointer)
        loaded.align = 16
        items = [b.extract_element(loaded, WORD(k)) for k in range(4)]
        return context.make_tuple(b, signature.return_type, items)

    return signature, generate


def fused(x, y, z, n):
    i = int32(cuda.blockIdx.x) * int32(cuda.blockDim.x) + int32(cuda.threadIdx.x)
    if i < n:
        a = x[i]
        b = y[i]
        s = a / (float32(1) + math.exp(-a))
        z[i] = s * math.tanh(b) + max(b, float32(0)) * math.sin(a) + math.sqrt(abs(a))


def reduced(x, out, n):
    part = cuda.shared.array(32, float32)
    t = int32(cuda.threadIdx.x)
    i = int32(cuda.blockIdx.x) * int32(cuda.blockDim.x) + t
    step = int32(cuda.gridDim.x) * int32(cuda.blockDim.x)
    s = float32(0)
    while i < n:
        s += x[i]
        i = int32(i + step)
    for k in (16, 8, 4, 2, 1):
        s += cuda.shfl_down_sync(0xFFFFFFFF, s, k)
    if t & int32(31) == int32(0):
        part[t >> int32(5)] = s
    cuda.syncthreads()
    if t < int32(32):
        s = float32(0)
        if t < int32(cuda.blockDim.x) >> int32(5):
            s = part[t]
        for k in (16, 8, 4, 2, 1):
            s += cuda.shfl_down_sync(0xFFFFFFFF, s, k)
        if t == int32(0):
            out[cuda.blockIdx.x] = s


def softmax(x, y, n):
    s = cuda.shared.array(128, float32)
    t = int32(cuda.threadIdx.x)
    row = int32(cuda.blockIdx.x) * n
    m = float32(-1e30)
    j = t
    while j < n:
        m = max(m, x[row + j])
        j = int32(j + int32(128))
    s[t] = m
    cuda.syncthreads()
    w = int32(64)
    while w > int32(0):
        if t < w:
            s[t] = max(s[t], s[t + w])
        cuda.syncthreads()
        w = int32(w >> int32(1))
    m = s[0]
    cuda.syncthreads()
    a = float32(0)
    j = t
    while j < n:
        a += math.exp(x[row + j] - m)
        j = int32(j + int32(128))
    s[t] = a
    cuda.syncthreads()
    w = int32(64)
    while w > int32(0):
        if t < w:
            s[t] = s[t] + s[t + w]
        cuda.syncthreads()
        w = int32(w >> int32(1))
    j = t
    while j < n:
        y[row + j] = math.exp(x[row + j] - m) / s[0]
        j = int32(j + int32(128))


def sgemm(a, b, c, m, n, k):
    """C = A B, tiles of 32 x 32, 2 x 4 outputs a thread, wide loads of B; n is a multiple of 4."""
    left = cuda.shared.array((16, 33), float32)
    right = cuda.shared.array((16, 32), float32)
    sums = cuda.local.array(8, float32)
    t = int32(cuda.threadIdx.x)
    tx = t & int32(7)
    ty = t >> int32(3)
    row = int32(cuda.blockIdx.y) * int32(32)
    column = int32(cuda.blockIdx.x) * int32(32)
    for q in range(8):
        sums[q] = float32(0)
    k0 = int32(0)
    while k0 < k:
        for q in range(4):
            i = ty + int32(16) * int32(q & 1)
            j = tx + int32(8) * int32(q >> 1)
            inside = row + i < m and k0 + j < k
            left[j, i] = a[(row + i) * k + k0 + j] if inside else float32(0)
        p = column + int32(4) * tx
        v = (float32(0), float32(0), float32(0), float32(0))
        if k0 + ty < k and p < n:
            v = load4(b, int32((k0 + ty) * n + p))
        right[ty, int32(4) * tx] = v[0]
        right[ty, int32(4) * tx + int32(1)] = v[1]
        right[ty, int32(4) * tx + int32(2)] = v[2]
        right[ty, int32(4) * tx + int32(3)] = v[3]
        cuda.syncthreads()
        for q in range(16):
            for i in range(2):
                for j in range(4):
                    sums[4 * i + j] += left[q, ty + int32(16 * i)] * right[q, int32(4) * tx + int32(j)]
        cuda.syncthreads()
        k0 = int32(k0 + int32(16))
    for i in range(2):
        for j in range(4):
            y = row + ty + int32(16 * i)
            x = column + int32(4) * tx + int32(j)
            if y < m and x < n:
                c[y * n + x] = sums[4 * i + j]


def transposed(x, y, rows, columns):
    tile = cuda.shared.array((16, 17), float32)
    tx = int32(cuda.threadIdx.x)
    ty = int32(cuda.threadIdx.y)
    i = int32(cuda.blockIdx.y) * int32(16) + ty
    j = int32(cuda.blockIdx.x) * int32(16) + tx
    if i < rows and j < columns:
        tile[ty, tx] = x[i * columns + j]
    cuda.syncthreads()
    i = int32(cuda.blockIdx.x) * int32(16) + ty
    j = int32(cuda.blockIdx.y) * int32(16) + tx
    if i < columns and j < rows:
        y[i * rows + j] = tile[tx, ty]


def histogram(x, counts, n):
    s = cuda.shared.array(16, int32)
    t = int32(cuda.threadIdx.x)
    if t < int32(16):
        s[t] = 0
    cuda.syncthreads()
    i = int32(cuda.blockIdx.x) * int32(cuda.blockDim.x) + t
    if i < n:
        cuda.atomic.add(s, x[i], 1)
    cuda.syncthreads()
    if t < int32(16):
        cuda.atomic.add(counts, t, s[t])


def median(x, y, n):
    """Sorts eight numbers in local memory, by places that are data."""
    i = int32(cuda.blockIdx.x) * int32(cuda.blockDim.x) + int32(cuda.threadIdx.x)
    own = cuda.local.array(8, float32)
    if i < n:
        for j in range(8):
            own[j] = x[(i + j) % n]
        for j in range(7):
            for q in range(7 - j):
                if own[q] > own[q + 1]:
                    own[q], own[q + 1] = own[q + 1], own[q]
        y[i] = own[3]


def largest(x, out, n):
    """The largest float by a loop of compare and swap, and a count of positive ones by votes."""
    i = int32(cuda.blockIdx.x) * int32(cuda.blockDim.x) + int32(cuda.threadIdx.x)
    v = x[i] if i < n else float32(-1e30)
    cuda.atomic.max(out, 0, v)
    b = cuda.ballot_sync(0xFFFFFFFF, v > float32(0))
    if i & int32(31) == int32(0):
        cuda.atomic.add(out, 1, float32(cuda.popc(b)))


#: name: function, types, options of the compiler
KERNELS = {
    "fused": (fused, (F1, F1, F1, int32), {}),
    "fused_fast": (fused, (F1, F1, F1, int32), {"fastmath": True}),
    "reduced": (reduced, (F1, F1, int32), {}),
    "softmax": (softmax, (F1, F1, int32), {"fastmath": True}),
    "sgemm": (sgemm, (F1, F1, F1, int32, int32, int32), {}),
    "transposed": (transposed, (F1, F1, int32, int32), {}),
    "histogram": (histogram, (I1, I1, int32), {}),
    "median": (median, (F1, F1, int32), {}),
    "largest": (largest, (F1, F1, int32), {}),
}


def compiled(name: str) -> str:
    """The PTX of a kernel, with short names and this file's name instead of its path."""
    function, kinds, options = KERNELS[name]
    signature = types.void(*kinds)
    text, _ = cuda.compile(
        function, signature, cc=(9, 0), device=False, abi="numba", output="ptx", lineinfo=True, **options
    )
    return shortened(text, name)


def shortened(text: str, name: str) -> str:
    """Without the mangled names of numba, which hold hashes, and without the compiler's version."""
    mangled = re.search(r"\.entry (\w+)\(", text)[1]
    text = text.replace(mangled, name)
    text = re.sub(r"_ZN08NumbaEnv\w+", "environment", text)
    for number, shared in enumerate(dict.fromkeys(re.findall(r"_cudapy_smem_\d+", text)), 1):
        text = re.sub(rf"\b{shared}\b", f"shared_{number}", text)
    text = re.sub(r'(\.file\s+\d+ )"[^"]*"', r'\1"sources.py"', text)
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("//")]
    return "\n".join(lines).strip() + "\n"
