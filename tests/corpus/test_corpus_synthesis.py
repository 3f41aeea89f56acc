"""Speech of both engines, silence trimming, and what happens without the programs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.corpus import synthesis
from echostream.corpus.synthesis import (
    HELDOUT_VOICES,
    SAMPLE_RATE,
    TRAIN_VOICES,
    MissingProgramError,
    SynthesisError,
    Utterance,
    check_voice,
    pad_to_multiple,
    speak,
    synthesize,
    trim_silence,
)


def french(path: Path, text: str = "le train part demain", voice: str = TRAIN_VOICES[0]) -> Utterance:
    return Utterance(text, path, "espeak-ng", voice)


def test_wavs_are_16_khz_mono_pcm16_and_reproducible(tmp_path: Path) -> None:
    utterances = [
        french(tmp_path / "a" / "fr.wav"),
        Utterance("the train", tmp_path / "en.wav", "flite", "slt"),
    ]

    def padded(_: Utterance, speech: synthesis.Samples) -> synthesis.Samples:
        return pad_to_multiple(speech, 320)

    assert synthesize(utterances, num_jobs=2, finish=padded) == 2
    first = [utterance.path.read_bytes() for utterance in utterances]
    for utterance in utterances:
        info = soundfile.info(str(utterance.path))
        assert (info.samplerate, info.channels, info.subtype) == (SAMPLE_RATE, 1, "PCM_16")
        assert info.frames % 320 == 0
        assert 0.3 < info.duration < 4.0
    assert synthesize(utterances) == 0  # nothing is spoken twice
    utterances[0].path.unlink()
    utterances[1].path.write_bytes(b"")
    synthesize(utterances, finish=padded)
    assert [utterance.path.read_bytes() for utterance in utterances] == first


def test_speed_and_timbre_change_the_speech(tmp_path: Path) -> None:
    slow = speak(Utterance("le train part demain", tmp_path / "x.wav", "espeak-ng", "fr", speed_wpm=120))
    fast = speak(Utterance("le train part demain", tmp_path / "x.wav", "espeak-ng", "fr", speed_wpm=180))
    assert slow.size > 1.2 * fast.size
    other = speak(french(tmp_path / "x.wav", voice=TRAIN_VOICES[1]))
    same = speak(french(tmp_path / "x.wav"))
    assert other.size != same.size or not np.array_equal(other, same)


def test_all_voices_exist_and_heldout_ones_are_others() -> None:
    for voice in (*TRAIN_VOICES, *HELDOUT_VOICES):
        check_voice("espeak-ng", voice)
    check_voice("flite", synthesis.TARGET_VOICE)
    train, heldout = (
        {voice.partition("+")[2] for voice in voices} for voices in (TRAIN_VOICES, HELDOUT_VOICES)
    )
    assert not train & heldout
    assert (len(train), len(heldout)) == (10, 4)
    assert len(set(synthesis.SPEEDS_WPM)) == 8


def test_every_timbre_sounds_different(tmp_path: Path) -> None:
    spoken = [speak(french(tmp_path / "x.wav", voice=voice)) for voice in (*TRAIN_VOICES, *HELDOUT_VOICES)]
    assert len({samples.tobytes() for samples in spoken}) == len(spoken)


@pytest.mark.parametrize(
    ("engine", "voice", "message"),
    [
        ("espeak-ng", "fr+nosuchtimbre", "no timbre 'nosuchtimbre'"),
        ("espeak-ng", "xx-nowhere", "no voice 'xx-nowhere'"),
        ("flite", "nosuch", "flite has no voice"),
        ("say", "fr", "unknown engine"),
    ],
)
def test_unknown_voices_are_refused(engine: str, voice: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_voice(engine, voice)


@pytest.mark.parametrize("program", synthesis.ENGINES)
def test_a_missing_program_is_named_with_its_installation(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgramError, match=rf"{program}.*sudo apt-get install espeak-ng flite"):
        synthesize([Utterance("bonjour", tmp_path / "x.wav", program, "fr")])
    assert list(tmp_path.iterdir()) == []


def test_a_failing_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "flite"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    with pytest.raises(SynthesisError, match="flite failed on 'hello': out of order"):
        speak(Utterance("hello", tmp_path / "x.wav", "flite", "slt"))


def test_output_that_is_no_wav_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "flite"
    fake.write_text("#!/bin/sh\necho this is no wav\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SynthesisError, match="flite gave no wav for 'hello'"):
        speak(Utterance("hello", tmp_path / "x.wav", "flite", "slt"))


def test_nothing_to_say_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="no text"):
        speak(french(tmp_path / "x.wav", text="  "))


def test_trimming_keeps_the_sound_and_a_margin() -> None:
    time = np.arange(SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * 440 * time).astype(np.float32)
    silence = np.zeros(SAMPLE_RATE, dtype=np.float32)
    trimmed = trim_silence(np.concatenate([silence, tone, silence]), keep_ms=50)
    assert trimmed.size == SAMPLE_RATE + 2 * SAMPLE_RATE // 20
    np.testing.assert_array_equal(trimmed[800:-800], tone)
    np.testing.assert_array_equal(trim_silence(tone), tone)
    assert trim_silence(silence).size == 0
    assert trim_silence(silence[:0]).size == 0


def test_padding_adds_zeros_only() -> None:
    padded = pad_to_multiple(np.ones(321, dtype=np.float32), 320)
    assert padded.size == 640
    assert padded.sum() == 321
    assert pad_to_multiple(padded, 320).size == 640


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.tsv"
    texts.write_text("id\ttext\nu1\tbonjour\n", encoding="utf-8")
    assert synthesis.main(["--texts", str(texts), "--output", str(tmp_path / "wavs")]) == 0
    assert soundfile.info(str(tmp_path / "wavs" / "u1.wav")).frames > 0
    assert synthesis.main(["--texts", str(texts), "--column", "fr", "--output", str(tmp_path / "wavs")]) == 1
    assert "columns id and fr" in capsys.readouterr().err
