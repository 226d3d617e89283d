"""Text and tree: the grammar, the parser, the checks that need no meaning, and the formatter."""
