"""Log-mel frames, k-means, the duration penalty against an exhaustive search, and files of units."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.corpus import units
from echostream.corpus.units import (
    CONTEXT_FRAMES,
    HOP_SAMPLES,
    NUM_FEATURES,
    NUM_MEL_BINS,
    Features,
    UnitModel,
    assign_units,
    distances,
    expand_units,
    log_mel,
    reduce_units,
    train_units,
    with_context,
)


def random_features(seed: int, *lengths: int) -> list[Features]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, NUM_MEL_BINS)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("samples", [0, 319, 320, 321, 6400, 6719])
def test_one_frame_for_each_320_samples(samples: int) -> None:
    waveform = np.random.default_rng(0).normal(size=samples) * 0.1
    assert log_mel(waveform).shape == (samples // HOP_SAMPLES, NUM_MEL_BINS)


def test_frames_are_centred_on_their_samples() -> None:
    waveform = np.zeros(20 * HOP_SAMPLES)
    waveform[7 * HOP_SAMPLES + HOP_SAMPLES // 2] = 1.0
    energy = log_mel(waveform).mean(axis=1)
    assert energy.argmax() == 7
    assert energy[6] == pytest.approx(energy[8], abs=0.1)
    assert energy[4] == energy[0] == pytest.approx(np.log(units.LOG_FLOOR), abs=1e-3)


def test_a_tone_lies_in_its_band() -> None:
    time = np.arange(16000) / 16000
    low, high = (log_mel(np.sin(2 * np.pi * hertz * time)).mean(axis=0).argmax() for hertz in (300, 3000))
    mel = 2595 * np.log10(1 + np.array([300, 3000]) / 700)
    expected = mel / (2595 * np.log10(1 + 8000 / 700)) * (NUM_MEL_BINS + 1) - 1
    assert abs(low - expected[0]) <= 1
    assert abs(high - expected[1]) <= 1


@pytest.mark.parametrize("num_frames", [0, 1, 3, 12])
def test_context_is_the_neighbours_in_order(num_frames: int) -> None:
    frames = random_features(11, num_frames)[0]
    stretches = with_context(frames).reshape(num_frames, 2 * CONTEXT_FRAMES + 1, NUM_MEL_BINS)
    for index, stretch in enumerate(stretches):
        for offset in range(-CONTEXT_FRAMES, CONTEXT_FRAMES + 1):
            neighbour = frames[min(max(index + offset, 0), num_frames - 1)]
            np.testing.assert_array_equal(stretch[CONTEXT_FRAMES + offset], neighbour)


def test_frames_that_differ_in_their_neighbours_alone_are_told_apart() -> None:
    first, second, between = random_features(12, 1, 1, 9)
    features = [np.concatenate([part, between[:1], part]) for part in (first, second) for _ in range(4)]
    model = train_units(features, 6, seed=1)
    middle = {int(frames[1]) for frames in assign_units(features, model, 0.0)}
    assert len(middle) == 2


def test_drawn_frames_have_the_context_that_they_have_in_their_utterance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = random_features(13, 7, 0, 20, 1, 9)
    monkeypatch.setattr(units, "MAX_TRAINING_FRAMES", 15)
    drawn = units._draw_frames(features, np.random.default_rng(4))
    possible = {row.tobytes() for item in features for row in with_context(item)}
    assert drawn.shape == (15, NUM_FEATURES)
    assert len({row.tobytes() for row in drawn} & possible) == 15


def test_kmeans_finds_separate_clusters_and_is_reproducible() -> None:
    rng = np.random.default_rng(1)
    # An utterance stays at one centre, and so do the neighbours of its frames.
    centres = rng.normal(size=(5, NUM_MEL_BINS)) * 10
    frames = [
        (centre + rng.normal(size=(20, NUM_MEL_BINS)) * 0.1).astype(np.float32)
        for centre in centres
        for _ in range(4)
    ]
    model = train_units(frames, 5, seed=3)
    contexts = np.tile(centres, 2 * CONTEXT_FRAMES + 1)
    assert distances(contexts, model.centroids).min(axis=1).max() < 0.1 * model.distortion
    assert model.distortion == pytest.approx(0.01 * NUM_FEATURES, rel=0.1)
    again = train_units(frames, 5, seed=3)
    np.testing.assert_array_equal(model.centroids, again.centroids)


def test_every_unit_is_used_by_its_training_frames() -> None:
    features = random_features(2, 50, 60)
    model = train_units(features, 30, seed=1)
    used = {int(unit) for frames in assign_units(features, model, 0.0) for unit in frames}
    assert used == set(range(30))


def test_as_many_units_as_frames_have_no_distortion() -> None:
    features = random_features(3, 12)
    model = train_units(features, 12, seed=1)
    assert model.distortion == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("num_units", "message"), [(13, "12 frames"), (0, "at least 1")])
def test_impossible_numbers_of_units(num_units: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_units(random_features(3, 12), num_units, seed=1)


def test_too_few_different_frames() -> None:
    with pytest.raises(ValueError, match="only 1 different"):
        train_units([np.ones((10, NUM_MEL_BINS), dtype=np.float32)], 2, seed=1)


@pytest.mark.parametrize("penalty", [0.0, 0.05, 0.3, 5.0])
def test_assignment_is_the_cheapest_of_all_sequences(penalty: float) -> None:
    features = random_features(4, 6, 1, 4, 0)
    model = UnitModel(with_context(random_features(5, 3)[0]), distortion=40.0)

    def cost(sequence: tuple[int, ...], frames: Features) -> float:
        table = distances(with_context(frames), model.centroids)
        changes = sum(a != b for a, b in itertools.pairwise(sequence))
        return (
            float(table[np.arange(len(sequence)), list(sequence)].sum())
            + changes * penalty * model.distortion
        )

    for frames, found in zip(features, assign_units(features, model, penalty), strict=True):
        assert found.shape == (len(frames),)
        best = min(cost(sequence, frames) for sequence in itertools.product(range(3), repeat=len(frames)))
        assert cost(tuple(found.tolist()), frames) == pytest.approx(best)


def test_batches_do_not_change_the_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    features = random_features(6, 30, 3, 17, 30, 8)
    model = UnitModel(with_context(random_features(7, 9)[0]), distortion=30.0)
    together = assign_units(features, model, 0.4)
    monkeypatch.setattr(units, "BATCH_COSTS", 1)
    for one, other in zip(together, assign_units(features, model, 0.4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_higher_penalty_gives_longer_units() -> None:
    features = random_features(8, 200)
    model = train_units(features, 20, seed=1)
    counts = [len(reduce_units(assign_units(features, model, p)[0])[0]) for p in (0.0, 0.3, 1.0)]
    assert counts[0] > counts[1] > counts[2] >= 1
    with pytest.raises(ValueError, match="negative"):
        assign_units(features, model, -0.1)


@pytest.mark.parametrize("frames", [[], [4], [4, 4, 4], [1, 1, 2, 1], [3, 0, 0, 3]])
def test_reduction_and_expansion_are_inverse(frames: list[int]) -> None:
    reduced, durations = reduce_units(frames)
    assert expand_units(reduced, durations) == frames
    assert sum(durations) == len(frames)
    assert all(a != b for a, b in itertools.pairwise(reduced))


def test_models_are_saved_without_pickle_and_byte_for_byte(tmp_path: Path) -> None:
    model = train_units(random_features(9, 40), 7, seed=1)
    model.save(tmp_path / "a.npz")
    model.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = UnitModel.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded.centroids, model.centroids)
    assert loaded.distortion == model.distortion
    with pytest.raises(FileNotFoundError, match=r"no unit model .*c\.npz"):
        UnitModel.load(tmp_path / "c.npz")


def test_bad_model_files(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a model")
    np.savez(tmp_path / "pickled.npz", centroids=np.array([object()]), distortion=1.0)
    np.savez(tmp_path / "shape.npz", centroids=np.zeros((4, NUM_MEL_BINS)), distortion=1.0)
    np.savez(tmp_path / "missing.npz", centroids=np.zeros((4, NUM_FEATURES)))
    for name in ("text", "pickled", "shape", "missing"):
        with pytest.raises(ValueError, match=f"{name}.npz"):
            UnitModel.load(tmp_path / f"{name}.npz")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(10)
    soundfile.write(tmp_path / "a.wav", rng.normal(size=16000) * 0.1, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.wav", rng.normal(size=12001) * 0.1, 24000, subtype="PCM_16")
    listing = tmp_path / "wavs.txt"
    listing.write_text(f"{tmp_path}/a.wav\n{tmp_path}/b.wav\n")
    model, output = tmp_path / "kmeans.npz", tmp_path / "units.tsv"
    common = ["--wavs", str(listing)]
    assert units.main(["train", *common, "--num-units", "5", "--output", str(model)]) == 0
    assert units.main(["quantize", *common, "--model", str(model), "--output", str(output)]) == 0
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert rows[0] == ["audio", "units", "durations"]
    assert [sum(map(int, row[2].split())) for row in rows[1:]] == [50, 25]
    assert units.main(["train", *common, "--num-units", "500", "--output", str(model)]) == 1
    assert "lower --num-units" in capsys.readouterr().err
    assert units.main(["train", "--wavs", str(tmp_path / "none"), "--output", str(model)]) == 1
    assert "no list of audio files" in capsys.readouterr().err
