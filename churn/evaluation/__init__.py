"""How good predictions are and how sure that is: metrics under weights, bootstrap, slices, profit, importance."""
