"""The limits of the language: beyond each of them netdsl reports an error instead of allocating or crashing.

They are far above what any published network needs. All are plain integers, checked before memory
is asked for.
"""

from typing import Final

MAX_SOURCE_SIZE: Final = 1_000_000
"""Bytes of one `.net` file, characters of a text; GoogLeNet with its training section is 2 kB."""

MAX_LEXEMES: Final = 50_000
"""Words, numbers, signs and comments of one text; the largest file of the zoo has 1,000."""

MAX_NAME: Final = 200
"""Characters of one name."""

MAX_GPU: Final = 63
"""The number of a GPU; machines have up to 16."""

MAX_STRING: Final = 10_000
"""Characters of one string in the text."""

MAX_NESTING: Final = 100
"""Brackets inside brackets."""

MAX_TREE_DEPTH: Final = 250
"""Levels of the parsed tree, which `a + b + …` deepens without brackets: so that walks may recurse."""

MAX_SYNTAX_ERRORS: Final = 10
"""Syntax errors reported in one go."""

MAX_ERRORS: Final = 20
"""Other mistakes reported in one go; the rest is counted."""

MAX_DIGITS: Final = 100
"""Digits of one number in the text."""

MAX_INT_BITS: Final = 1024
"""Size of an integer computed from settings; `2 ** 2 ** 100` stops here."""

MAX_STEPS: Final = 1_000_000
"""Steps of one elaboration, all presets that are checked together: about a second.  ResNet-152 takes 50,000."""

MAX_LOOP: Final = 100_000
"""Turns of one `for` or `repeat`."""

MAX_ITEMS: Final = 100_000
"""Items of a list or `range`, those of the lists in it counted."""

MAX_EXPANSION_DEPTH: Final = 50
"""Blocks using blocks; a block that uses itself without end is stopped here."""

MAX_IMPORTS: Final = 50
"""Files that import each other in a row."""

MAX_NODES: Final = 20_000
"""Nodes of one graph: 2,500 layers of convolution, batch norm and ReLU.  The largest net of the zoo has 2,000."""

MAX_RANK: Final = 8
"""Axes of one tensor, the batch axis included."""

MAX_WINDOW: Final = 2**24
"""Cells of a window, a step or a border along one axis: their distances in memory stay within 64 bits."""

MAX_ELEMENTS: Final = 2**33
"""Elements of one tensor: 32 GiB in float32."""

MAX_GRAPH_TEXT: Final = 50_000_000
"""Characters of a graph's text in an artifact or checkpoint: 500 for each of as many nodes as may be."""
