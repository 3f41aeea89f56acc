"""fairseq criterions; importing the package registers them."""

from echostream.criterions import speech_to_unit_2pass_ctc_asr_st

__all__ = ["speech_to_unit_2pass_ctc_asr_st"]
