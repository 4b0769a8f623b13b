"""What the experiments train: in each module a trial, its settings, its experiments."""
