"""The code generator: LLVM through llvmlite, scalar expressions, Numba for loops, and the cache of kernels."""
