"""Unit vocoder: CodeHiFiGAN synthesis from discrete units, and its training."""
