"""Files of own data sets, made for the tests."""

import numpy as np
from PIL import Image

CLASSES = ("circle", "cross", "square")


def pictures(folder, count, sizes=(20, 40), classes=CLASSES, seed=0, ending="png"):
    """`count` pictures for each class in a folder of its own, each of a random size."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(classes):
        place = folder / name
        place.mkdir(parents=True)
        for n in range(count):
            height, width = rng.integers(*sizes, 2, endpoint=True)
            array = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
            array[height // 4 : height // 2, width // 4 : width // 2, k % 3] = 200
            Image.fromarray(array).save(place / f"{n:04}.{ending}")
    return folder


def break_files(files):
    """Cut off half of the files, and make texts of the others; all keep their names."""
    for k, path in enumerate(files):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3] if k % 2 else b"no picture at all")


def network(folder, data, shape, classes=3, train=""):
    """A small `.net` file for pictures of a shape, with a `data` section."""
    path = folder / "own.net"
    path.write_text(
        f"""net Own {{
  input image: {list(shape)}
  output logits = image -> conv(8, 3) -> relu -> max_pool(2) -> flatten -> dense({classes})
}}
data {{
{data}
}}
train {{
  loss = cross_entropy(logits, label)
  metrics = [accuracy(logits, label)]
  optimizer = adam
  epochs = 2
  {train}
}}
"""
    )
    return path
