"""From scores to intervals: statistics, scorecards, kinds of failure."""
