//! What things cost, as ratios to a floor measured in the same run. The benches stand beside this file.
