"""The rule, and all that asks it: verdict, flips, what-if, constraints, record, race."""
