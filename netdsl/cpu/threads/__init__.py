"""The team of threads that walks a program."""
