"""Audio, features and the training data set."""
