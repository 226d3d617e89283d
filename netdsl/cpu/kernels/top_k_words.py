"""The words of the argument block of `top_k`: ROWS rows of SIZE elements, each with COUNT indices."""

X, OUT, ROWS, SIZE, COUNT, WORDS = range(6)
