"""Machine code for this processor: kernels compiled by LLVM, kept on disk, and loaded by address."""
