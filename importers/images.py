"""Inputs to run a network on: images from a folder or an array, or noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import MissingExtraError, MissingFileError, ShapeError, WeightsError
from importers.linear_ops import MapShape

__all__ = ["SMOOTH_NOISE", "normalise", "read_images", "smooth_noise"]

SMOOTH_NOISE = "smooth noise"
"""What `smooth_noise` is called in records."""
_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB"}
_LARGEST_FILE = 1 << 31


def smooth_noise(shape: MapShape, count: int, *, seed: int = 0, deviation: float = 1.0) -> NDArray[np.float32]:
    """Make white noise smoothed by a Gaussian whose width is a 28th of the shorter side (8 cells of 224).

    Parameters
    ----------
    shape
        (channel, row, col).
    count
        How many.
    seed
        The same gives the same noise; an image does not depend on `count`.
    deviation
        The standard deviation of each channel of each image; its mean is 0.

    Returns
    -------
    ndarray
        (image, channel, row, col). With deviation 1 it is of the scale of images that were normalised by mean and
        deviation of their set.
    """
    channels, rows, cols = shape
    turns = np.square(np.fft.fftfreq(rows))[:, None] + np.square(np.fft.rfftfreq(cols))[None, :]
    gain = np.exp(-2 * np.square(np.pi * min(rows, cols) / 28) * turns)
    gain[0, 0] = 0
    images = np.empty((count, *shape), dtype=np.float32)
    for number in range(count):
        white = np.random.default_rng([seed, number]).standard_normal(shape)
        smooth = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(rows, cols)) if rows * cols > 1 else white
        spread = smooth.std(axis=(1, 2), keepdims=True) if rows * cols > 1 else np.ones((channels, 1, 1))
        images[number] = deviation * smooth / spread
    return images


def normalise(
    images: NDArray[np.floating[Any]], *, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> NDArray[np.float32]:
    """Take the mean from each channel and divide by the deviation; one number serves all channels.

    Raises
    ------
    ShapeError
        There are neither one nor as many numbers as channels, or a deviation is not above zero.
    """
    out = np.asarray(images, dtype=np.float32)
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (0, 1, out.shape[1]):
            raise ShapeError(
                f"normalising images: {len(numbers)} numbers are given as {name}, the images have {out.shape[1]} "
                "channels.",
                hint="Give one number, or one for each channel with commas between them.",
            )
        if not np.all(np.isfinite(numbers)) or (name == "std" and min(numbers, default=1) <= 0):
            raise ShapeError(f"normalising images: {name} is {', '.join(map(str, numbers))}; a deviation is above 0.")
    if len(mean):
        out = out - np.asarray(mean, dtype=np.float32).reshape(1, -1, 1, 1)
    if len(std):
        out = out / np.asarray(std, dtype=np.float32).reshape(1, -1, 1, 1)
    return out


def read_images(path: str | Path, shape: MapShape, *, count: int | None = None) -> NDArray[np.float32]:
    """Read images for a network's input.

    Parameters
    ----------
    path
        A folder of image files, in order of their names, each scaled so that its shorter side fits, cut at the
        centre, and brought to 0 to 1; or an ``.npy`` of (image, channel, row, col): bytes are brought to 0 to 1, other
        numbers are taken as they are.
    shape
        (channel, row, col) of the input.
    count
        At most so many, the first.

    Raises
    ------
    MissingFileError
        Nothing is there, or no image is in the folder.
    ShapeError
        The array has another shape, or the input is not one of 1 or 3 channels, as images are.
    WeightsError
        A file cannot be read.
    MissingExtraError
        Pillow is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, shape, count)
    if not path.is_file():
        raise MissingFileError(f"reading images: there is no {path}.", hint="Give a folder of images, or an .npy file.")
    if path.stat().st_size > _LARGEST_FILE:
        raise WeightsError(f"reading {path}: it has {path.stat().st_size:,} bytes, at most {_LARGEST_FILE:,} are read.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(
            f"reading {path}: it is no .npy of plain numbers ({str(error).splitlines()[0] if str(error) else error}).",
            hint="Save the images with numpy.save, (image, channel, row, col), or give a folder of image files.",
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 4 or array.shape[1:] != shape or not len(array):
        found = "x".join(map(str, getattr(array, "shape", ())))
        raise ShapeError(
            f"reading {path}: it holds {found or 'no array'}, images x {'x'.join(map(str, shape))} are wanted.",
            hint="Bring the images to the shape of the network's input.",
        )
    if array.dtype.kind not in "fu" or (array.dtype.kind == "u" and array.dtype != np.uint8):
        raise WeightsError(f"reading {path}: its numbers are {array.dtype}; bytes or floating point are wanted.")
    images = np.array(array[:count], dtype=np.float32)
    if array.dtype == np.uint8:
        images /= 255
    if not np.isfinite(images).all():
        raise WeightsError(f"reading {path}: a value is NaN or infinite.")
    return images


def _read_folder(folder: Path, shape: MapShape, count: int | None) -> NDArray[np.float32]:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "reading image files needs the package 'pillow', which is not installed.",
            hint="pip install 'feature-circuitgraph[torch]'",
        ) from error
    channels, rows, cols = shape
    if channels not in _MODES:
        raise ShapeError(
            f"reading {folder}: the network's input has {channels} channels, images have 1 or 3.",
            hint="Give an .npy file of (image, channel, row, col).",
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())[:count]
    if not files:
        raise MissingFileError(
            f"reading images: {folder} holds none of {', '.join(_SUFFIXES)}.", hint="Give a folder of image files."
        )
    images = np.empty((len(files), *shape), dtype=np.float32)
    for place, file in enumerate(files):
        try:
            with Image.open(file) as opened:
                image = opened.convert(_MODES[channels])
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            fact = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(
                f"reading {file}: it is no image ({fact}).",
                hint="Take it out of the folder, or convert it to PNG.",
            ) from error
        scale = max(rows / image.height, cols / image.width)
        size = (max(cols, round(image.width * scale)), max(rows, round(image.height * scale)))
        resized = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (size[0] - cols) // 2, (size[1] - rows) // 2
        cut = np.asarray(resized.crop((left, top, left + cols, top + rows)), dtype=np.float32) / 255
        images[place] = cut[None] if channels == 1 else np.moveaxis(cut, 2, 0)
    return images
