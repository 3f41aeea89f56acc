"""Repairs of SimulEval 1.1.4's evaluation, and scorers that fail loudly.

Importing this package makes the repairs (`repairs` lists them). The agents do so by themselves.
To score a log without an agent: `echostream-eval --score-only --output FOLDER`.
"""

from echostream.evaluation import repairs

repairs.apply()
