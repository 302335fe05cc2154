"""The search for the values of a config that score best on dev: many trainings, chosen and stopped by Optuna."""
