"""An arm of a finished comparison in the form of other tools: one file a target, one row in `targets.TARGETS`."""
