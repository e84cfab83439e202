"""Training: data sets, recipe, pruning."""
