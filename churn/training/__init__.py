"""How a model is made: preparation, candidates, blend, calibration, search, recipe."""
