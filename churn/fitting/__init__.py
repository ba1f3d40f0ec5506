"""The parts that training is made of: folds, candidates, blends, calibration, trials."""
