"""Speed: ratios, shares and growth, each measured in one run on the same model and images."""
