"""Files of netdsl taken apart, changed and put together again with a checksum that is right."""

import json

from safetensors.numpy import load, save

from netdsl.runtime.container import sealed


def opened(content):
    """Title, JSON text and arrays of an artifact or checkpoint, by the safetensors format alone."""
    size = int.from_bytes(content[:8], "little")
    words = json.loads(content[8 : 8 + size])["__metadata__"]["netdsl"]
    line, _, text = words.partition("\n")
    return line.rpartition(" ")[0], text, load(content)


def resealed(title, text, arrays):
    """The bytes of a file with these parts."""
    return save(arrays, {"netdsl": sealed(title, text, arrays)})
