"""The greedy path of a CTC head, collapsed as its frames arrive."""

from dataclasses import dataclass, field

from torch import Tensor

from echostream.policy.ctc_alignment import TEXT_CTC_BLANK
from echostream.streaming import StreamState


@dataclass
class CTCPath(StreamState):
    """Tokens of one text segment, each with the frame that emitted it; the last ones may be tentative.

    Args:
        tokens: collapsed path.
        frames: encoder frame of each token, counted from the start of the stream.
        num_final_tokens: tokens that come from frames which will not change.
        num_frames: encoder frames whose path is final, since the start of the stream.
        last_label: best label of the last of them, blank at first.
        num_final_blank_frames: blank frames at the end of the final ones.
        num_blank_frames: blank frames at the end of all, tentative ones included.
    """

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    num_final_tokens: int = 0
    num_frames: int = 0
    last_label: int = TEXT_CTC_BLANK
    num_final_blank_frames: int = 0
    num_blank_frames: int = 0

    def push(self, labels: Tensor, tentative_labels: Tensor | None = None) -> None:
        """Take the best labels of the next final frames `[t]`, and of frames after them that may change."""
        self._drop_tentative()
        self.num_blank_frames = self.num_final_blank_frames
        self.last_label = self._collapse(labels, self.num_frames, self.last_label)
        self.num_frames += labels.numel()
        self.num_final_tokens = len(self.tokens)
        self.num_final_blank_frames = self.num_blank_frames
        if tentative_labels is not None:
            self._collapse(tentative_labels, self.num_frames, self.last_label)

    def start_segment(self) -> None:
        """Forget the tokens; a label that goes on is not emitted again, and frames are counted on."""
        self._drop_tentative()
        self.tokens = []
        self.frames = []
        self.num_final_tokens = 0

    def _drop_tentative(self) -> None:
        self.tokens = self.tokens[: self.num_final_tokens]
        self.frames = self.frames[: self.num_final_tokens]

    def _collapse(self, labels: Tensor, first_frame: int, last_label: int) -> int:
        for offset, label in enumerate(labels.tolist()):
            self.num_blank_frames = self.num_blank_frames + 1 if label == TEXT_CTC_BLANK else 0
            if label not in (TEXT_CTC_BLANK, last_label):
                self.tokens.append(label)
                self.frames.append(first_frame + offset)
            last_label = label
        return last_label
