"""`pairs(images = "img", masks = "msk")`: pictures, and masks of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.column import Column
from netdsl.data.dataset import IMAGE, LABEL, Split
from netdsl.data.errors import data_error
from netdsl.data.named import check_name
from netdsl.data.own.folders import files_in, listed
from netdsl.data.own.masks import MaskFiles, Values, all_values, colour_text, look_at_mask
from netdsl.data.own.pictures import PictureFiles, check_channels_wanted, decodes, header_of, pictures_of
from netdsl.data.own.scan import check_broken, scan
from netdsl.data.own.source import FileSource
from netdsl.data.picture import PictureHeader, is_picture
from netdsl.data.pixels import Pixels
from netdsl.elaborate.values import shown
from netdsl.source import brief, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairs(FileSource):
    """`pairs(images = "img", masks = "msk")`: pictures `image`, and masks `label` [H, W] of the same names.

    A mask has class numbers as its pixels, or in its palette, or colours: `colours` lists them in the order of the
    classes, [[0, 0, 0], [255, 0, 0]]; by default they are found and sorted. Masks of 0 and 255 alone are of two
    classes. channels, broken: as in `folder`.
    """

    images: str
    masks: str
    colours: Any = None
    channels: int | None = None
    broken: str = "refuse"

    def __post_init__(self) -> None:
        check_name("images", self.images, "a folder")
        check_name("masks", self.masks, "a folder")
        check_channels_wanted(self.channels)
        check_broken(self.broken)
        object.__setattr__(self, "colours", None if self.colours is None else _colours(self.colours))

    def _split(self, base: Path, decode: bool) -> Split:
        pairs = self._paired(base)
        where = f"{self.images} and {self.masks}"
        whole = decode and self.broken == "skip"

        def look(pair: tuple[Path, Path]) -> tuple[PictureHeader, PictureHeader, Values | None]:
            header = (decodes if whole else header_of)(pair[0])
            return _same_size(pair, header, header_of(pair[1]), look_at_mask(pair[1]) if decode else None)

        scanned = scan(pairs, look, self.broken, where, "pair")
        kept = scanned.of(pairs)
        channels = self.channels if self._train is None else self.channels or self._train.channels
        pictures = pictures_of([image for image, _ in kept], [h for h, _, _ in scanned.headers], channels)
        looks = [values for _, _, values in scanned.headers if values is not None]
        masks, text = self._masks(base, [mask for _, mask in kept], pictures, looks)
        about = f"{where}: {counted(len(kept), 'pair')}, {pictures}{text}"
        return Split({IMAGE: pictures.column, LABEL: masks}, about, scanned.skipped)

    def _paired(self, base: Path) -> list[tuple[Path, Path]]:
        """The pictures and masks of the same names, in their order. Errors: NetError for one without the other."""
        images, masks = (_by_stem(base / folder) for folder in (self.images, self.masks))
        for ours, others, folder, noun in (
            (images, masks, self.masks, "mask"),
            (masks, images, self.images, "picture"),
        ):
            alone = [path for stem, path in ours.items() if stem not in others]
            if alone:
                more = f", as {len(alone) - 1:,} others" if len(alone) > 1 else ""
                raise data_error(f"{alone[0]} has no {noun} of its name in {base / folder}{more}")
        return [(images[stem], masks[stem]) for stem in sorted(images)]

    def _masks(
        self, base: Path, files: Sequence[Path], pictures: PictureFiles, looks: Sequence[Values]
    ) -> tuple[Column, str]:
        """The column of masks, and what its classes are in words; without looks nothing is known of the values."""
        if not looks:
            return Column(MaskFiles(files, pictures.sizes, None), _pixels(255)), ""
        values = all_values(files, looks)
        table = self._table(base, values)
        stored = MaskFiles(files, pictures.sizes, table)
        if table is None:
            return Column(stored, _pixels(values.found[-1]), None, values.found), (
                f", masks of {listed(list(map(str, values.found.tolist())))}"
            )
        names = tuple(map(colour_text if values.colours else str, table.tolist()))
        missing = [colour_text(int(v)) for v in values.found if v not in table]
        if missing:
            raise data_error(
                f"the masks in {self.masks} have the colour {missing[0]}, which is none of the classes"
            )
        found = np.flatnonzero(np.isin(table, values.found))
        text = f", masks of {counted(len(table), 'class')} ({listed(names)})"
        return Column(stored, _pixels(len(table) - 1), names if values.colours else None, found), text

    def _table(self, base: Path, values: Values) -> NDArray[np.int64] | None:
        """The value of each class; None: values are class numbers."""
        given = self.colours or (self._train.colours if self._train else None)
        if given is not None and not values.colours:
            raise data_error("colours are given, but the masks have numbers as pixels")
        if given is not None:
            return np.array(given, np.int64)
        if self._train is not None:
            return self._train._found_table(base)
        if values.colours or values.found.tolist() == [0, 255]:
            return values.found
        return None

    def _found_table(self, base: Path) -> NDArray[np.int64] | None:
        """The table that is found in the masks of this set."""
        files = [mask for _, mask in self._paired(base)]
        scanned = scan(files, look_at_mask, self.broken, self.masks, "mask")
        return self._table(base, all_values(scanned.of(files), scanned.headers))


def _pixels(highest: int) -> Pixels:
    return Pixels("int64", 0, float(highest), None)


def _same_size(
    pair: tuple[Path, Path], image: PictureHeader, mask: PictureHeader, values: Values | None
) -> tuple[PictureHeader, PictureHeader, Values | None]:
    if (image.height, image.width) != (mask.height, mask.width):
        sizes = f"{image.height} x {image.width}, its mask {pair[1]} {mask.height} x {mask.width}"
        raise data_error(f"{pair[0]} is {sizes}")
    return image, mask, values


def _by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without ending. Errors: NetError for two of one name."""
    found: dict[str, Path] = {}
    for path in files_in(folder, is_picture):
        stem = str(path.relative_to(folder).with_suffix(""))
        if stem in found:
            raise data_error(f"{found[stem]} and {path} have the same name")
        found[stem] = path
    if not found:
        raise data_error(f"there are no pictures in {folder}")
    return found


def _colours(given: object) -> tuple[int, ...]:
    """Colours as 0xRRGGBB. Errors: NetError that begins with `colours`."""
    listed_ = given if isinstance(given, list | tuple) else ()
    found = []
    for colour in listed_:
        parts = colour if isinstance(colour, list | tuple) else ()
        if len(parts) != 3 or not all(type(p) is int and 0 <= p <= 255 for p in parts):
            raise data_error(
                f"colours has {brief(shown(colour))}; a colour is [red, green, blue] from 0 to 255"
            )
        found.append(parts[0] << 16 | parts[1] << 8 | parts[2])
    if len(found) < 2 or len({*found}) < len(found):
        raise data_error(
            f"colours is a list of different colours, one for each class, not {brief(shown(given))}"
        )
    return tuple(found)
