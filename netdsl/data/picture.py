"""Pictures from files, in every form that Pillow reads, as pixels of the channels that are wanted.

Grey is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601-7, as Pillow and most libraries have it).  What is
transparent is drawn over white, as in browsers.  A picture is rotated by its EXIF orientation; an animation is its
first frame.  Files are not trusted: sizes are checked before pixels are decoded, and every exception of a decoder is
handled.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.errors import data_error
from netdsl.data.pixels import Pixels, look
from netdsl.data.stream import reading
from netdsl.extras import need
from netdsl.filetype import open_file
from netdsl.source import NetError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
"""The endings of pictures."""
MAX_PIXELS = 2**27
"""Pixels of one picture: 11,585 x 11,585."""

#: decoders that neither start other programs nor read other files
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_GREYS = ("1", "L", "LA", "La")
#: the tag of EXIF that says how to turn the picture
_ORIENTATION = 0x0112
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_WORDS = {1: "grey", 2: "grey with transparency", 3: "red, green, blue", 4: "colours with transparency"}


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels [H, W, C] as uint8, or float32 for more than 8 bits; `notes` say what was converted."""

    array: NDArray[Any]
    pixels: Pixels
    notes: tuple[str, ...]


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its ending."""
    return path.suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class PictureHeader:
    """What a picture says of itself before it is decoded: its size as it is seen, 1 to 4 channels, over 8 bits."""

    height: int
    width: int
    channels: int
    deep: bool


def picture_header(path: Path) -> PictureHeader:
    """Look at a picture without decoding it. Errors: as of `read_picture`, as far as the header tells."""
    with _opened(path) as image:
        _check_size(image, path)
        # Pillow's own for PNG decodes the picture to find what stands behind the pixels.
        turned = _exif(image).get(_ORIENTATION, 1) in (5, 6, 7, 8)
        width, height = image.size[::-1] if turned else image.size
        grey = image.mode in _GREYS or image.mode[0] in "IF"
        channels = (1 if grey else 3) + bool(image.has_transparency_data)
        return PictureHeader(height, width, channels, image.mode[0] in "IF")


def _exif(image: Image) -> Any:
    from PIL import Image as library

    return library.Image.getexif(image)


def read_picture(path: Path, channels: int) -> Picture:
    """Read a picture as 1 (grey), 2 (with transparency), 3 (colours) or 4 channels.

    Errors: NetError when Pillow or the file is missing, or it is no picture, broken or too large.
    """
    if channels not in _WORDS:
        raise data_error(f"a picture has 1 to 4 channels; {channels} are wanted for {path}")
    with _opened(path) as image:
        return _read(image, path, channels)


def read_mask(path: Path) -> NDArray[Any]:
    """A mask: [H, W] of the numbers that its pixels or their places in the palette are, or colours [H, W, 3].

    Errors: NetError as of `read_picture`, and for JPEG, which keeps no numbers.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        _check_size(image, path)
        if image.format == "JPEG":
            raise data_error(f"{path} is a JPEG, which changes numbers and colours a little; a mask is a PNG")
        image.load()
        turned = ImageOps.exif_transpose(image)
        if turned.mode in ("1", "L", "P", "I") or turned.mode.startswith("I;16"):
            return np.asarray(turned).astype(np.int64)
        if turned.mode in ("LA", "La", "PA"):
            return np.asarray(turned)[..., 0].astype(np.int64)
        if turned.mode in ("RGB", "RGBA"):
            return np.asarray(turned)[..., :3]
        raise data_error(f"{path} is a picture of the kind {turned.mode}; a mask has numbers or colours")


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """A picture opened by Pillow; what goes wrong, in the body too, is a NetError that names the file."""
    library = pillow(f"reading {path}")
    with reading(path), open_file(path, "data", "a picture") as file:
        try:
            # some are missing in some builds of Pillow
            known = [name for name in _FORMATS if name in library.OPEN]
            with library.open(file, formats=known) as image:
                yield image
        except NetError:
            raise
        except library.UnidentifiedImageError as error:
            raise data_error(f"{path} is no picture that can be read", fix=_other_kind(path)) from error
        except library.DecompressionBombError as error:
            raise data_error(f"{path} is too large: {error}") from error
        # For damaged files decoders raise all kinds of exceptions, such as EOFError and IndexError.
        except Exception as error:
            raise data_error(f"{path} is damaged: {error or type(error).__name__}") from error


def pillow(what: str) -> Any:
    """Pillow's `Image` with all its decoders, which `what` needs; raises NetError where it is missing."""
    image = need("PIL.Image", "pillow", what, "data")
    image.init()
    # Sizes above our limit are an error, and what is odd in a file is no business of who trains on it.  A filter for
    # good: several threads read, and each would put back what another has changed.
    if _QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)
    return image


def _other_kind(path: Path) -> str | None:
    from netdsl.filetype import content

    with path.open("rb") as file:
        found = content(file.read(4096))
    return None if "image" in found else f"it is {found}"


def _read(image: Image, path: Path, channels: int) -> Picture:
    from PIL import ImageOps

    _check_size(image, path)
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"first of {frames} frames")
    image.load()
    turned = image
    if image.getexif().get(_ORIENTATION, 1) not in (0, 1):
        turned = ImageOps.exif_transpose(image)
        notes.append("turned as its EXIF says")
    array, pixels, kind = _deep(turned, path, image.format) if turned.mode[0] in "IF" else _bytes(turned)
    array = _with_channels(array, channels, pixels.white or 1.0, notes, kind)
    return Picture(array, pixels, tuple(notes))


def _check_size(image: Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise data_error(
            f"{path} says it is {width} x {height}, {width * height} pixels; the limit is {MAX_PIXELS}"
        )


def _bytes(image: Image) -> tuple[NDArray[Any], Pixels, str]:
    """Grey or colours of 8 bits, with transparency where the file has it."""
    grey = image.mode in _GREYS
    clear = image.has_transparency_data
    mode = ("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB")
    if grey and clear and image.mode == "L":  # one grey is transparent, which Pillow makes RGBA only
        array = np.asarray(image.convert("RGBA"))[..., [0, 3]]
    else:
        array = np.asarray(image if image.mode == mode else image.convert(mode))
    array = array if array.ndim == 3 else array[..., None]
    known = {"1": "black and white", "P": "palette", "PA": "palette", "CMYK": "CMYK"}
    return array, Pixels("uint8", 0, 255, 255.0, sure=True), known.get(image.mode, _WORDS[array.shape[2]])


def _deep(image: Image, path: Path, form: str | None) -> tuple[NDArray[Any], Pixels, str]:
    """Grey of 16 or 32 bits, or floats."""
    array = np.asarray(image)
    if not np.isfinite(array).all():
        raise data_error(f"{path} has pixels that are not finite numbers")
    if image.mode.startswith("I;16") or (image.mode == "I" and form in ("PNG", "PPM")):
        pixels, kind = Pixels("uint16", 0, 65535, 65535.0, sure=True), "16 bits"
    else:
        found = look(array[None])
        pixels = Pixels(found.dtype, found.low, found.high, found.white, sure=True)
        kind = f"{found}, {found.white:g} taken as white" if found.white else f"{found}"
    return array[..., None].astype(np.float32), pixels, kind


def _with_channels(
    array: NDArray[Any], channels: int, white: float, notes: list[str], kind: str
) -> NDArray[Any]:
    """Grey from colours or colours from grey, without or with transparency."""
    have, notes_at = array.shape[2], len(notes)
    if have in (2, 4) and channels in (1, 3):
        if (array[..., -1] != white).any():
            notes.append("transparent over white")
        array = _over_white(array, white)
    colours, alpha = (array[..., :-1], array[..., -1:]) if array.shape[2] in (2, 4) else (array, None)
    if channels < 3 and colours.shape[2] == 3:
        if not (colours == colours[..., :1]).all():
            notes.append("made grey")
        colours = _grey(colours)
    elif channels > 2 and colours.shape[2] == 1:
        colours = np.repeat(colours, 3, axis=2)
        notes.append("grey as three equal colours")
    if channels in (2, 4):
        full = np.full((*colours.shape[:2], 1), white, colours.dtype)
        colours = np.concatenate([colours, full if alpha is None else alpha], axis=2)
    if kind != _WORDS[min(have, 4)]:
        notes.insert(notes_at, kind)
    return np.ascontiguousarray(colours)


def _over_white(array: NDArray[Any], white: float) -> NDArray[Any]:
    colours, share = array[..., :-1].astype(np.float64), array[..., -1:] / white
    mixed = colours * share + white * (1 - share)
    rounded = np.floor(mixed + 0.5) if array.dtype == np.uint8 else mixed
    return np.asarray(rounded, array.dtype)


def _grey(colours: NDArray[Any]) -> NDArray[Any]:
    """Pillow's `convert("L")` to the bit: weights of 16 binary places, rounded."""
    if colours.dtype != np.uint8:
        return np.asarray((colours @ np.array([0.299, 0.587, 0.114]))[..., None], colours.dtype)
    weights = np.array([19595, 38470, 7471], np.uint32)
    total = (colours.astype(np.uint32) * weights).sum(axis=2, keepdims=True, dtype=np.uint32)
    return np.asarray((total + 0x8000) >> 16, np.uint8)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name, those of folders in it left out. Errors: NetError when there are none."""
    with reading(folder, "folder"), os.scandir(folder) as entries:
        found = sorted(
            Path(entry.path) for entry in entries if entry.is_file() and is_picture(Path(entry.name))
        )
    if not found:
        raise data_error(f"there are no pictures in {folder}")
    return found
