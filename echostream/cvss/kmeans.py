"""k-means models of target units: reading those that fairseq distributes, without running code from them.

fairseq's quantisers (such as mhubert_base_vp_en_es_fr_it3_L11_km1000.bin) are scikit-learn estimators written
by joblib, that is by pickle: an ordinary load runs whatever the file says, and depends on the version that
wrote it. All that is needed of them are the cluster centres. `read_centroids` therefore walks the pickle with
an unpickler that knows numpy arrays and makes an empty shell of everything that is scikit-learn's or a random
generator's; any other name in the file is refused. Centres can be kept as npz, too:

    python -m echostream.cvss.kmeans mhubert_base_vp_en_es_fr_it3_L11_km1000.bin km1000.npz
"""

from __future__ import annotations

import argparse
import importlib
import pickle
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

Centroids = npt.NDArray[np.float32]

_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
)


class KMeansError(ValueError):
    """A k-means model that cannot be used; the message names the file and says what is wrong."""


class _Shell:
    """Stands for an object whose class is not looked at: it keeps the attributes, and has no behaviour."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _ArrayWrapper(NumpyArrayWrapper):
    """joblib's place holder for an array; arrays of Python objects would be a pickle of their own."""

    def read_array(self, unpickler: Any, *arguments: Any) -> Any:
        if self.dtype.hasobject:
            raise pickle.UnpicklingError("it holds an array of Python objects")
        return super().read_array(unpickler, *arguments)


class _CentroidUnpickler(NumpyUnpickler):
    """Reads numbers, arrays and plain containers; names outside the list are refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _ArrayWrapper
        top = module.split(".")[0]
        if top == "numpy" and name in {"ndarray", "dtype"}:
            return getattr(np, name)
        if top == "numpy" and module.endswith("core.multiarray") and name in {"_reconstruct", "scalar"}:
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        if top == "sklearn" or module.startswith("numpy.random"):
            return _Shell
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _unpickle(path: Path, stream: BinaryIO) -> object:
    try:
        return _CentroidUnpickler(str(path), stream, ensure_native_byte_order=True).load()
    except _PICKLE_ERRORS as error:
        raise KMeansError(
            f"{path}: refused or unreadable as a k-means model of scikit-learn written by joblib without "
            f"compression: {error}"
        ) from error


def _from_npz(path: Path) -> object:
    try:
        with np.load(path, allow_pickle=False) as data:
            return data["centroids"]
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise KMeansError(f"{path}: not an npz file with an array called centroids: {error}") from error


def read_centroids(path: Path) -> Centroids:
    """Cluster centres of a k-means model; nothing that the file holds is executed.

    Args:
        path: an npz with `centroids`, or what joblib.dump wrote of a scikit-learn KMeans or MiniBatchKMeans.

    Returns:
        float32 [units, dimension].

    Raises:
        FileNotFoundError: there is no such file.
        KMeansError: it is neither, or would need code to be run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such k-means model; check KMEANS_PATH")
    if zipfile.is_zipfile(path):
        found = _from_npz(path)
    else:
        with path.open("rb") as stream:
            found = getattr(_unpickle(path, stream), "cluster_centers_", None)
    centroids = np.asarray(found)
    if centroids.dtype.kind != "f" or centroids.ndim != 2 or not centroids.size:
        raise KMeansError(f"{path}: holds no cluster centres [units, dimension]")
    if not np.isfinite(centroids).all():
        raise KMeansError(f"{path}: its cluster centres hold values that are not finite")
    return centroids.astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the cluster centres of a k-means model as npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args(arguments)
    try:
        centroids = read_centroids(args.model)
    except (FileNotFoundError, KMeansError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez(args.output, centroids=centroids)
    print(f"{len(centroids)} centres of dimension {centroids.shape[1]} in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
