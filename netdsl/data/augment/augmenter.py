"""A list of changes, ready for the batches of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.arrays import np
from netdsl.data.augment.change import Change
from netdsl.data.augment.choose import leaves
from netdsl.data.augment.draw import draws, keys
from netdsl.data.augment.heard import of_sounds
from netdsl.data.augment.labels import moved
from netdsl.data.augment.look import Look
from netdsl.data.augment.mix import Mix
from netdsl.data.augment.run import ReadyStage, look_run, moving_run, run_pictures
from netdsl.data.augment.sound import run_sounds
from netdsl.data.augment.stages import Drawn, Moving, Single, Stage, stages
from netdsl.data.augment.ways import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


@dataclass(eq=False)
class Augmenter:
    """Changes samples of a training set; what is drawn for one follows from (seed, epoch, place in the list, sample).

    whites: the number that is full intensity in each input, None where nobody knows.  labels: how each target moves;
    see `check_augment`.  threads: None is one for each processor; any number gives the same bits.
    """

    changes: Sequence[Change]
    seed: int
    whites: Mapping[str, float | None]
    labels: Mapping[str, Label] = field(default_factory=dict)
    threads: int | None = None

    def __call__(
        self, inputs: Arrays, targets: Arrays, epoch: int, indices: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Inputs and targets of a batch, [B, ...] by name, after all changes; indices: which samples they are, [B].

        All pictures [B, H, W, C] change alike, and targets move with them; other inputs stay.  Under changes of
        sounds every input is one.
        """
        key = keys(self.seed, self._leaves[1], epoch)
        drawn = Drawn(draws(key, indices), key, indices)
        pictures = [name for name, x in inputs.items() if x.ndim == 4]
        changed = dict(inputs)
        if of_sounds((leaf.change for leaf in self._leaves[0]), bool(pictures)):
            for name, x in inputs.items():
                changed[name] = run_sounds(x, self._leaves[0], drawn, self._threads)
            pictures = []
        for name in pictures:
            changed[name] = self._picture(inputs[name], self.whites[name], drawn)
        geometry = [stage for stage in self._stages if isinstance(stage, Moving)]
        known = {name: x for name, x in targets.items() if name in self.labels}
        labels = known
        if pictures:
            size = inputs[pictures[0]].shape[1:3]
            labels = moved(known, self.labels, geometry, drawn, size, self._threads)
        for stage in self._stages:
            if isinstance(stage, Single) and isinstance(stage.change, Mix):
                place = drawn.draws[stage.leaf.place]
                changed, labels = stage.change.mixed(changed, labels, self.labels, place)
        return changed, {**targets, **labels}

    @cached_property
    def _leaves(self) -> Any:
        return leaves(self.changes)

    @cached_property
    def _stages(self) -> list[Stage]:
        return stages(self._leaves[0])

    @cached_property
    def _threads(self) -> int:
        from netdsl.native.host import threads

        return threads(self.threads)

    def _picture(self, images: NDArray[Any], white: float | None, drawn: Drawn) -> NDArray[Any]:
        if images.dtype == np.uint8 and white != 255:  # few values, which would be rounded to each other
            images = images.astype(np.float32)
        shape, runs = images.shape[1:], list[ReadyStage]()
        for stage in self._stages:
            if isinstance(stage, Moving):
                run = moving_run(stage, drawn, (shape[0], shape[1]), shape[2], white)
                runs.append(run)
                shape = (*run.new, shape[2])
            elif isinstance(stage.change, Look) and white is not None:
                runs.append(look_run(stage.leaf, drawn, (shape[0], shape[1], shape[2]), white))
        return run_pictures(images, shape, runs, self._threads)
