"""What a device must offer to run programs, and how a schedule becomes calls of its kernels."""
