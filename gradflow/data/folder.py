"""Images from a folder of folders, one a class, read with Pillow."""

from __future__ import annotations

import math
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .arrays import check_memory, divide
from .errors import ContentError, DataError
from .images import ImageData, Split

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff"])
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # not all of Pillow's: one runs a program
LARGEST = 1 << 14
TEST_NAMES = ("test", "val", "valid", "validation")
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})  # 16 bits
INSTALL = 'reading images needs the package Pillow: pip install "gradflow[images]"'


@dataclass(frozen=True)
class _Listing:
    """The files of one part: the paths, and the number of each one's class."""

    paths: list[Path]
    labels: np.ndarray


def load_folder(path: str | Path, image_size: int | tuple[int, int] | None = None) -> ImageData:
    """The images in `path`/CLASS/, or in `path`/train/CLASS/ and `path`/test/CLASS/ (or val, valid, validation).

    Without such parts a fifth of the images is the test part, drawn of each class in proportion, the same each time.
    Classes are numbered in the order of their folders' names. Images may lie in folders within a class, and links are
    followed; files with other endings than those of images, or with names that begin with a dot, are left alone.

    All images are stretched (bilinear) to `image_size`, (height, width) or one number for both, by default to the
    size that most of the training images have. They are grey, one channel, where all are, else RGB, three.
    Raises DataError, which names the file, where an image is corrupt or too large, or a class has none; ImportError
    where Pillow is missing.
    """
    root = Path(path)
    _need_pillow("folder")
    try:
        return _load(root, image_size)
    except ContentError as error:
        raise DataError(f"[folder] {root}: {error}") from error
    except OSError as error:
        raise DataError(f"[folder] {error.filename or root}: {error.strerror or error}") from error


def read_image(path: str | Path, size: tuple[int, int], grey: bool) -> np.ndarray:
    """An image file as uint8 (channels, height, width), grey or RGB, stretched to `size`, (width, height).

    As `load_folder` reads them. DataError, which names the file, where that cannot be; ImportError without Pillow.
    """
    _need_pillow("image")
    if not Path(path).is_file():
        raise DataError(f"[image] there is no file {path}; check the path")
    try:
        return _decoded(Path(path), size, grey)
    except ContentError as error:
        raise DataError(f"[image] {error}") from error


def _need_pillow(part: str) -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise ImportError(f"[{part}] {INSTALL}") from None


def _load(root: Path, image_size: int | tuple[int, int] | None) -> ImageData:
    test_root = next((root / name for name in TEST_NAMES if (root / name).is_dir()), None)
    parted = test_root is not None and (root / "train").is_dir()
    classes = _classes(root / "train" if parted else root)
    parts = [_listing(list(classes.values()), root)]
    if parted and test_root is not None:
        parts.append(_listing(_known(test_root, classes), test_root))
    facts = [[_facts(path) for path in part.paths] for part in parts]
    grey = all(mode in GREY for part in facts for _, mode in part)
    size = _size(image_size, [size for size, _ in facts[0]])
    splits = [_split(part, size, grey) for part in parts]
    train, test = splits if parted else divide(splits[0])
    return ImageData(_text(root.resolve().name), train, test, tuple(classes))


def _classes(root: Path) -> dict[str, Path]:
    """The folders of the classes by name, in order."""
    classes: dict[str, Path] = {}
    for folder in _folders(root):
        if (name := _text(folder.name)) in classes:
            raise ContentError(f"two folders have the name {name}")
        classes[name] = folder
    if len(classes) < 2:
        raise ContentError(
            f"expected a folder for each class in {root}, at least two, found {', '.join(classes) or 'none'}"
        )
    return dict(sorted(classes.items()))


def _known(root: Path, classes: dict[str, Path]) -> list[Path | None]:
    """The test part's folders of the classes, in their order; a class may have none."""
    folders = {_text(folder.name): folder for folder in _folders(root)}
    strange = sorted(set(folders) - set(classes))
    if strange or not folders:
        raise ContentError(f"the classes in {root} are not those in train: {', '.join(strange) or 'there are none'}")
    return [folders.get(name) for name in classes]


def _text(name: str) -> str:
    """A folder's name, the same on all systems: composed, and with a mark for bytes that are no text."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _listing(folders: list[Path | None], root: Path) -> _Listing:
    """The images of the classes' folders, of those that there are."""
    paths: list[Path] = []
    labels: list[int] = []
    seen = {_identity(folder) for folder in [root, *folders] if folder is not None}
    for label, folder in enumerate(folders):
        if folder is None:
            continue
        found = _images_in(folder, seen)
        if not found:
            raise ContentError(f"there is no image in {folder} ({', '.join(sorted(ENDINGS))})")
        paths += found
        labels += [label] * len(found)
    return _Listing(paths, np.array(labels))


def _images_in(folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
    """The images below a folder, in order. Folders in `seen` are passed over, so that no link leads in circles."""
    found, waiting = [], [folder]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if (identity := _identity(path)) not in seen:
                    seen.add(identity)
                    waiting.append(path)
            elif path.suffix.lower() in ENDINGS and path.is_file():
                found.append(path)
    return found


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """An image, not yet decoded; what goes wrong with it, then or in the block, names the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except (MemoryError, ContentError):
        raise
    except UnidentifiedImageError:
        raise ContentError(f"{path} is no image of a kind that is read here ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ContentError(f"{path} would unpack to a giant image: {error}") from None
    except Exception as error:  # of a damaged file, Pillow raises whatever comes about
        raise ContentError(f"{path} is corrupt: {error or type(error).__name__}") from error


def _facts(path: Path) -> tuple[tuple[int, int], str]:
    """The size (width, height) and the mode of an image."""
    with _opened(path) as image:
        return image.size, image.mode


def _size(asked: int | tuple[int, int] | None, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The (width, height) that all images shall have."""
    if asked is None:
        count = Counter(sizes)
        return max(count, key=lambda size: (count[size], size))
    height, width = (asked, asked) if isinstance(asked, int) else asked
    if not (0 < height <= LARGEST and 0 < width <= LARGEST):
        raise ContentError(f"image_size must be 1 to {LARGEST} pixels, got {height}x{width}")
    return width, height


def _split(listing: _Listing, size: tuple[int, int], grey: bool) -> Split:
    shape = (len(listing.paths), 1 if grey else 3, size[1], size[0])
    what = f"{shape[0]:,} images of {shape[1]}x{shape[2]}x{shape[3]} (choose a smaller image_size)"
    check_memory(math.prod(shape), what)
    pixels = np.empty(shape, np.uint8)
    for row, path in zip(pixels, listing.paths, strict=True):
        row[...] = _decoded(path, size, grey)
    return Split(pixels, listing.labels)


def _decoded(path: Path, size: tuple[int, int], grey: bool) -> np.ndarray:
    """An image as uint8 (channels, height, width)."""
    from PIL import Image

    with _opened(path) as opened:
        image: Image.Image = opened
        if image.mode == "F":
            raise ContentError(f"{path} has floats for pixels, whose range is not known; save it with 8 bits")
        if image.mode in DEEP:  # Pillow would cut 16 bits off at 255
            image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
        image = image.convert("L" if grey else "RGB")
        if image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
