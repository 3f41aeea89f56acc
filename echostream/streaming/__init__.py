"""Streaming primitives in pure torch: state is data, modules are functions of input and state."""

from echostream.streaming.causal_conv import CausalConv1d, CausalConv2d, CausalConvState
from echostream.streaming.kv_cache import KVCache
from echostream.streaming.kv_history import KVHistory
from echostream.streaming.segment_buffer import SegmentBuffer
from echostream.streaming.state import StreamFinishedError, StreamState

__all__ = [
    "CausalConv1d",
    "CausalConv2d",
    "CausalConvState",
    "KVCache",
    "KVHistory",
    "SegmentBuffer",
    "StreamFinishedError",
    "StreamState",
]
