"""Many trainings of one config: seeds, folds and shares of the data, several of them at once."""
