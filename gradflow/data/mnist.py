"""MNIST and two sets in its form: 70,000 grey images of 28x28 pixels in ten classes, published as four idx files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .download import RemoteFile
from .errors import DataError
from .idx import read_idx
from .images import ImageData, Split
from .source import Paths, Source, find_files

SIDE, MOST = 28, 60_000
NAMES = tuple([f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")])
DEBIAN_DIR = Path("/usr/share/datasets/fashion-mnist")

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}


def load(source: Source, paths: Paths) -> ImageData:
    """The data of the four files. Raises DataError where one is damaged, or they do not fit together."""
    classes, cure = CLASSES[source.name], source.cure
    parts = [_split(source.name, paths[NAMES[i]], paths[NAMES[i + 1]], len(classes), cure) for i in (0, 2)]
    return ImageData(source.name, parts[0], parts[1], classes)


def load_fashion_mnist(data_dir: str | Path | None = None, *, download: bool = False) -> ImageData:
    """60,000 training and 10,000 test images, (n, 1, 28, 28), of ten kinds of clothing.

    Reads `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, gzipped (`.gz`) or not, from `data_dir`, else from the
    cache or where the Debian package dataset-fashion-mnist puts them. Raises DataError where a file is missing, unless
    `download` may fetch it, or damaged.
    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747.
    """
    return load(FASHION_MNIST, find_files(FASHION_MNIST, data_dir, download=download))


def _split(name: str, images_path: Path, labels_path: Path, classes: int, cure: str) -> Split:
    images = read_idx(images_path, ndim=3, cure=cure, limit=MOST * SIDE * SIDE)
    labels = read_idx(labels_path, ndim=1, cure=cure, limit=MOST)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(
            f"[{name}] {images_path}: expected images of {SIDE}x{SIDE} pixels, found {images.shape}; {cure}"
        )
    if len(images) != len(labels) or not len(labels):
        raise DataError(
            f"[{name}] {images_path} has {len(images)} images and {labels_path} {len(labels)} labels, "
            f"expected as many of both; {cure}"
        )
    if labels.max() >= classes:
        raise DataError(f"[{name}] {labels_path}: expected labels 0 to {classes - 1}, found {labels.max()}; {cure}")
    return Split(images[:, None], labels.astype(np.int64))


def _files(bases: tuple[str, ...], facts: tuple[tuple[str, int], ...]) -> tuple[RemoteFile, ...]:
    """The four files, in the order of NAMES; `bases` are the addresses of folders that have them."""
    return tuple(
        [
            RemoteFile(name, tuple([base + name for base in bases]), f"md5:{md5}", size)
            for name, (md5, size) in zip(NAMES, facts, strict=True)
        ]
    )


VISION = "torchvision/datasets/mnist.py of pytorch/vision, commit 01977a187961243eaf66ead246fd92a5c6c7ccfc"
SIZES = "sizes: tensorflow_datasets/url_checksums/{}.txt of tensorflow/datasets, commit {}"
DATASETS = "333639b37af6c6fedf3610a4a2d42f1c6ef6f7d5"

MNIST = Source(
    name="mnist",
    title="handwritten digits",
    files=_files(
        (
            "http://yann.lecun.com/exdb/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
    ),
    licence="CC BY-SA 3.0",
    homepage="http://yann.lecun.com/exdb/mnist/",
    origin=f"addresses and MD5: {VISION}; the third address and "
    + SIZES.format("mnist", "31f1255e57e519a6c004f0b097a2f5cfcf0dde7d")
    + "; licence: https://keras.io/api/datasets/mnist/",
    classes=10,
    images=(60_000, 10_000),
    shape=(1, SIDE, SIDE),
    load=load,
)

# Debian repacks the files: its gzip headers have no name and another time. With the name, and the time 1504176606
# (train) or 1504176627 (t10k), put back into them, their MD5s are those below; tests/data/test_catalog.py does it.
FASHION_MNIST = Source(
    name="fashion-mnist",
    title="pictures of clothes",
    files=_files(
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        (
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
            ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        ),
    ),
    licence="MIT",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    origin="addresses (the second is the repository's own copy) and MD5: the publisher's README.md, which Debian's "
    f"package ships; the same MD5 in {VISION}; {SIZES.format('fashion_mnist', DATASETS)}",
    classes=10,
    images=(60_000, 10_000),
    shape=(1, SIDE, SIDE),
    load=load,
    checked=True,
    folders=(DEBIAN_DIR,),
    remedy='install the files with "apt-get install dataset-fashion-mnist" (Debian, Ubuntu)',
)

# Its publisher asks to be named as: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by
# NIJL and others), doi:10.20676/00000341.
KMNIST = Source(
    name="kmnist",
    title="cursive Japanese characters",
    files=_files(
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/", "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
        (
            ("bdb82020997e1d708af4cf47b453dcf7", 18_165_135),
            ("e144d726b3acfaa3e44228e80efcd344", 29_497),
            ("5c965bf0a639b31b8f53240b1b52f4d7", 3_041_136),
            ("7320c461ea6c1c855c0b718fb2a4b134", 5_120),
        ),
    ),
    licence="CC BY-SA 4.0",
    homepage="http://codh.rois.ac.jp/kmnist/",
    origin=f"addresses and MD5: {VISION}; {SIZES.format('kmnist', DATASETS)}; the second address is the same server, "
    "as R/kuzushiji-mnist.R of jlmelville/snedata names it",
    classes=10,
    images=(60_000, 10_000),
    shape=(1, SIDE, SIDE),
    load=load,
)
