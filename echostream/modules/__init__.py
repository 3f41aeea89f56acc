"""Network modules in plain PyTorch: Emformer, Conformer, their convolutions and attention."""
