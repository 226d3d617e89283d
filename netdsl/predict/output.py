"""Write outputs; the ending of the file decides the format.

.npz, .npy and .json hold outputs as they are; .csv holds tables, with probabilities under the names of the classes;
.png and .jpg hold pictures: [H, W] or [H, W, C] with 1, 3 or 4 channels from 0 to 1, or bytes.  A map of classes, by
its loss or by argmax, becomes a PNG of class numbers with a palette of colours.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import Meaning, Usage
from netdsl.data.palette import palette
from netdsl.data.picture import pillow
from netdsl.data.probability import probabilities
from netdsl.files import atomic_write
from netdsl.ir import TensorType
from netdsl.predict.answers import BINARY, class_names
from netdsl.source import Diagnostic, NetError, suggest, warn

Array = NDArray[Any]
ENDINGS = (".npz", ".npy", ".json", ".csv", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Destination:
    """A file that outputs of these types are to be written to.

    Raises NetError at once for an ending that is not known or that cannot hold the outputs.
    """

    path: Path
    types: Mapping[str, TensorType]
    usage: Usage | None

    def __post_init__(self) -> None:
        ending = self.path.suffix.lower()
        if ending not in ENDINGS:
            near = suggest(ending, ENDINGS) if ending else None
            fix = f"did you mean {self.path.with_suffix(near)}?" if near else f"endings: {', '.join(ENDINGS)}"
            raise _error(f"the ending of {self.path} does not say what to write", fix)
        if ending == ".npy" and len(self.types) > 1:
            raise _error(
                f".npy holds one array, the outputs are {', '.join(self.types)}", ".npz holds them all"
            )
        if ending == ".csv":
            self._check_tables()
        if self._pictures:
            self._check_pictures(ending)

    @property
    def _pictures(self) -> bool:
        return self.path.suffix.lower() in (".png", ".jpg", ".jpeg")

    def _check_tables(self) -> None:
        for name, t in self.types.items():
            if t.rank > 2:
                raise _error(f".csv holds tables, {name} is {list(t.shape[1:])}", ".npz holds any output")

    def _check_pictures(self, ending: str) -> None:
        pillow(f"writing {self.path}")
        kinds = [self._kind(name) for name in self.types]
        if not any(kinds):
            shapes = ", ".join(f"{name} {list(t.shape[1:])}" for name, t in self.types.items())
            message = f"no output is a picture, [H, W] or [H, W, C] with 1, 3 or 4 channels: {shapes}"
            raise _error(message, ".npz, .npy and .json hold any output")
        if ending != ".png" and (wrong := next((k for k in kinds if k in ("mask", "clear")), None)):
            what = "class numbers" if wrong == "mask" else "transparency"
            raise _error(f"{ending} keeps no {what}", f"write {self.path.with_suffix('.png')}")

    def _meaning(self, name: str) -> Meaning | None:
        found = self.usage.outputs.get(name) if self.usage is not None else None
        return None if found is None else Meaning(found.meaning)

    def _kind(self, name: str) -> str | None:
        """How an output is drawn: `mask`, `clear` (with transparency) or `picture`; None: not at all."""
        t, meaning = self.types[name], self._meaning(name)
        channels = t.shape[3] if t.rank == 4 else 1 if t.rank == 3 else 0
        if channels == 0:
            return None
        if channels > 1 and meaning is not None and meaning not in BINARY:
            return "mask" if channels <= 256 else None
        if t.dtype == "i64":
            return "mask" if channels == 1 else None
        return {1: "picture", 3: "picture", 4: "clear"}.get(channels)

    def write(self, outputs: Mapping[str, Array], titles: list[str], text: Callable[[], str]) -> list[Path]:
        """Write the outputs [n, ...], whose samples have titles; `text` makes what a .json holds.

        Returns the files written. Raises OSError of the file system.
        """
        if self._pictures:
            return self._write_pictures(outputs)
        writers: dict[str, Callable[[IO[bytes]], object]] = {
            ".npz": lambda file: _write_npz(file, outputs),
            ".npy": lambda file: np.save(file, next(iter(outputs.values()))),
            ".json": lambda file: file.write(text().encode()),
            ".csv": lambda file: file.write(self._csv(outputs, titles).encode()),
        }
        atomic_write(self.path, writers[self.path.suffix.lower()])
        return [self.path]

    def _csv(self, outputs: Mapping[str, Array], titles: list[str]) -> str:
        header, columns = ["input"], [titles]
        for name, array in outputs.items():
            meaning, rows = self._meaning(name), array.reshape(len(array), -1)
            if meaning is not None and rows.shape[1] > 1:
                names = class_names(rows.shape[1], self.usage.outputs[name].classes if self.usage else None)
                header += [name, *names]
                columns.append([names[k] for k in rows.argmax(axis=1)])
                columns += [[f"{v:.6g}" for v in column] for column in probabilities(rows, meaning).T]
            else:
                header += [name] if rows.shape[1] == 1 else [f"{name}[{k}]" for k in range(rows.shape[1])]
                columns += [[f"{v:.9g}" for v in column] for column in rows.T]
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([header, *zip(*columns, strict=True)])
        return file.getvalue()

    def _write_pictures(self, outputs: Mapping[str, Array]) -> list[Path]:
        drawn = {name: array for name, array in outputs.items() if self._kind(name)}
        written = []
        for name, array in drawn.items():
            pixels = self._pixels(name, array)
            for number, picture in enumerate(pixels):
                parts = [self.path.stem, *([name] if len(drawn) > 1 else [])]
                parts += [str(number)] if len(pixels) > 1 else []
                path = self.path.with_name("-".join(parts) + self.path.suffix)
                atomic_write(path, _encoded(picture, path.suffix, self._kind(name) == "mask"))
                written.append(path)
        return written

    def _pixels(self, name: str, array: Array) -> NDArray[np.uint8]:
        """Bytes [n, H, W] or [n, H, W, C]."""
        meaning = self._meaning(name)
        if self._kind(name) == "mask":
            numbers = array if array.dtype.kind == "i" else array.argmax(axis=-1)
            if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < 256:
                raise _error(
                    f"{name} has class numbers {numbers.min()} to {numbers.max()}; a PNG holds 0 to 255"
                )
            return np.asarray(numbers, np.uint8).reshape(numbers.shape[:3])
        values = array.astype(np.float64) if meaning is None else probabilities(array, meaning)
        outside = float(np.mean(~((values >= 0) & (values <= 1))))
        if outside:
            message = f"{100 * outside:.1f} % of {name} is not from 0 to 1: cut off in the picture"
            warn(Diagnostic("data", message, fix=".npz and .npy hold the numbers themselves"))
        return np.asarray(np.rint(np.nan_to_num(values).clip(0, 1) * 255), np.uint8)


def _write_npz(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """As `numpy.savez`, whose own arguments have names that outputs may have too."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _encoded(pixels: NDArray[np.uint8], ending: str, mask: bool) -> bytes:
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 and pixels.ndim == 3 else pixels
    image = pillow("writing pictures").fromarray(np.ascontiguousarray(squeezed))
    if mask:
        image.putpalette(palette())
    file = io.BytesIO()
    image.save(file, "PNG" if ending.lower() == ".png" else "JPEG")
    return file.getvalue()


def _error(message: str, fix: str | None = None) -> NetError:
    return NetError(Diagnostic("output", message, fix=fix))
