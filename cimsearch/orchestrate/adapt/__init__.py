"""Adapting the networks that a search found: pruned, trained, scored on test images."""
