"""SimulEval agents; importing them also repairs SimulEval's evaluation of speech output."""

from echostream.evaluation import repairs

repairs.apply()
