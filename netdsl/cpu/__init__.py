"""CPU kernels: vector code emitted as LLVM IR, drivers written in Numba, and the threads that run them."""
