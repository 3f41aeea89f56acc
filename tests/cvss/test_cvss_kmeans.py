"""k-means models are read without running code from them."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans

from echostream.cvss.kmeans import KMeansError, main, read_centroids

RANDOM = np.random.default_rng(1)


class RunsCode:
    """A pickle of this calls a function when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reads_what_scikit_learn_and_joblib_write(tmp_path: Path, estimator: Any, dtype: type) -> None:
    path = tmp_path / "km.bin"
    model = estimator(7, n_init=1, random_state=np.random.RandomState(3))
    model.fit(RANDOM.standard_normal((50, 5)).astype(dtype))
    joblib.dump(model, path)
    centroids = read_centroids(path)
    assert centroids.dtype == np.float32
    np.testing.assert_array_equal(centroids, model.cluster_centers_.astype(np.float32))


def test_converts_to_npz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = KMeans(4, n_init=1).fit(RANDOM.standard_normal((30, 3)))
    joblib.dump(model, tmp_path / "km.bin")
    assert main([str(tmp_path / "km.bin"), str(tmp_path / "new" / "km.npz")]) == 0
    assert "4 centres of dimension 3" in capsys.readouterr().out
    np.testing.assert_array_equal(
        read_centroids(tmp_path / "new" / "km.npz"), read_centroids(tmp_path / "km.bin")
    )
    assert main([str(tmp_path / "none.bin"), str(tmp_path / "x.npz")]) == 1


@pytest.mark.parametrize("hidden", ["alone", "attribute", "array"])
def test_code_is_refused_and_not_run(tmp_path: Path, hidden: str) -> None:
    path, witness = tmp_path / "evil.bin", tmp_path / "witness"
    evil: Any = RunsCode(witness)
    if hidden != "alone":
        model = KMeans(2, n_init=1).fit(RANDOM.standard_normal((9, 2)))
        model.extra = evil if hidden == "attribute" else np.array([evil], dtype=object)
        evil = model
    joblib.dump(evil, path)
    with pytest.raises(KMeansError, match=r"evil\.bin: refused"):
        read_centroids(path)
    assert not witness.exists()
    joblib.load(path)
    assert witness.exists(), "an ordinary load would have run it"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "refused or unreadable"), (b"\x80\x04garbage", "refused or unreadable"), (b"PK", "refused")],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "km.bin"
    path.write_bytes(content)
    with pytest.raises(KMeansError, match=message):
        read_centroids(path)


def test_models_without_usable_centres_are_refused(tmp_path: Path) -> None:
    joblib.dump({"a": 1}, tmp_path / "dict.bin")
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    np.savez(tmp_path / "nan.npz", centroids=np.full((2, 2), np.nan))
    np.savez(tmp_path / "flat.npz", centroids=np.zeros(4))
    for name, message in (
        ("dict.bin", "holds no cluster centres"),
        ("other.npz", "not an npz file with an array called centroids"),
        ("nan.npz", "not finite"),
        ("flat.npz", "holds no cluster centres"),
    ):
        with pytest.raises(KMeansError, match=message):
            read_centroids(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="check KMEANS_PATH"):
        read_centroids(tmp_path / "none.bin")
