"""SimulEval agents that write a fixed script, whatever they hear."""

import time
from typing import Any
from weakref import WeakSet

from simuleval.agents import SpeechToSpeechAgent, SpeechToTextAgent
from simuleval.agents.actions import Action, ReadAction, WriteAction
from simuleval.agents.states import AgentStates
from simuleval.data.segments import SpeechSegment
from simuleval.evaluator.instance import SpeechOutputInstance

from echostream.evaluation.source_audio import SourceAudio

RATE = 16000
SPEECH_MS = {
    2: 300,
    3: 700,
    7: 200,
}  # call (from 1) -> output in ms; pieces 2 and 3 overlap, 7 leaves a pause
WORDS = {1: "one", 3: "two three", 5: ""}
WORK_SECONDS = 0.02


class ScriptedSpeechAgent(SpeechToSpeechAgent):
    """Speaks at calls 2, 3 and 7 and at the end; each call takes 20 ms. Remembers when it answered."""

    answered: list[list[float]] = []  # noqa: RUF012 (the tests read it from the class)
    first_call: list[float] = []  # noqa: RUF012

    def reset(self) -> None:
        super().reset()
        self.num_calls = 0

    def policy(self, states: AgentStates | None = None) -> Action:
        if self.num_calls == 0:
            self.first_call.append(time.time())
            self.answered.append([])
        self.num_calls += 1
        time.sleep(WORK_SECONDS)
        finished = self.states.source_finished
        duration_ms = SPEECH_MS.get(self.num_calls, 100 if finished else 0)
        if not duration_ms:
            return ReadAction()
        self.answered[-1].append(time.time())
        content = [0.1] * (duration_ms * RATE // 1000)
        return WriteAction(
            SpeechSegment(content=content, sample_rate=RATE, finished=finished), finished=finished
        )


class SilentAgent(SpeechToSpeechAgent):
    """Says something in the first utterance only."""

    num_utterances = 0

    def policy(self, states: AgentStates | None = None) -> Action:
        if not self.states.source_finished:
            return ReadAction()
        type(self).num_utterances += 1
        content: list[float] = [0.1] * RATE if type(self).num_utterances == 1 else []
        return WriteAction(SpeechSegment(content=content, sample_rate=RATE, finished=True), finished=True)


class ScriptedTextAgent(SpeechToTextAgent):
    """Writes words at calls 1 and 3, and "end" at the end; each call takes 20 ms."""

    def reset(self) -> None:
        super().reset()
        self.num_calls = 0

    def policy(self, states: AgentStates | None = None) -> Action:
        self.num_calls += 1
        time.sleep(WORK_SECONDS)
        finished = self.states.source_finished
        text: Any = WORDS.get(self.num_calls, "end" if finished else "")
        return WriteAction(text, finished=finished) if text or finished else ReadAction()


class HoldingAgent(SpeechToSpeechAgent):
    """Says 100 ms at each call, and counts the seconds of sources and of output that all instances hold."""

    # The test fills the first two and reads the third.
    sources: WeakSet[SourceAudio] = WeakSet()  # noqa: RUF012
    outputs: WeakSet[SpeechOutputInstance] = WeakSet()  # noqa: RUF012
    held_seconds: list[tuple[float, float]] = []  # noqa: RUF012

    def policy(self, states: AgentStates | None = None) -> Action:
        heard = sum(source.num_held_bytes for source in self.sources) / 4
        spoken = sum(len(piece) for instance in self.outputs for piece in instance.prediction_list)
        self.held_seconds.append((heard / RATE, spoken / RATE))
        finished = self.states.source_finished
        segment = SpeechSegment(content=[0.1] * (RATE // 10), sample_rate=RATE, finished=finished)
        return WriteAction(segment, finished=finished)


class TalkativeAgent(SpeechToTextAgent):
    """Writes a word at each call."""

    def policy(self, states: AgentStates | None = None) -> Action:
        return WriteAction("word", finished=self.states.source_finished)
