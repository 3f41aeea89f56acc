"""What CTC cannot align, by its definition."""

import pytest
import torch
from torch.nn import functional

from echostream.cvss.feasibility import Limits, positions_needed, problems


@pytest.mark.parametrize("symbols", [[1], [1, 2, 3], [1, 1], [1, 1, 1, 2], [2, 1, 1, 2, 2]])
def test_positions_needed_is_where_the_loss_becomes_finite(symbols: list[int]) -> None:
    def loss(num_positions: int) -> float:
        log_probs = torch.zeros(num_positions, 1, 4).log_softmax(-1)
        lengths = torch.tensor([num_positions]), torch.tensor([len(symbols)])
        return float(functional.ctc_loss(log_probs, torch.tensor([symbols]), *lengths))

    needed = positions_needed(symbols)
    assert loss(needed) < float("inf")
    assert needed == 1 or loss(needed - 1) == float("inf")


def test_each_target_has_its_own_positions() -> None:
    limits = Limits(ctc_upsample_rate=2, max_units=100)
    # 9 fbank frames are 3 encoder frames; 2 pieces and </s> are 6 unit positions, one of them for </s>.
    assert problems(9, [5, 6, 7], [8, 8], list(range(5)), limits) == []
    assert problems(8, [5, 6, 7], [8, 9], [1], limits) == ["recognition: CTC needs 3 of 2 encoder frames"]
    assert problems(8, [5], [8, 8], [1], limits) == ["translation: CTC needs 3 of 2 encoder frames"]
    assert problems(9, [5], [8, 9], list(range(6)), limits) == ["units: CTC needs 7 of 6 unit positions"]


def test_limit_of_units() -> None:
    units = list(range(11))
    assert problems(99, [5], [8], units, Limits(25, 10)) == ["units: 11 are more than 10"]
    assert problems(99, [5], [8], units, Limits(25, 0)) == []
    with pytest.raises(ValueError, match="CTC_UPSAMPLE_RATE is 0"):
        Limits(0)
