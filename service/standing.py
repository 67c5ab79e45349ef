"""What a process loads once and keeps is not walked through again by Python's collector of garbage.

A walk through the modules of this program takes 0.1 s and more, in which nobody is answered; whoever makes much garbage
has it walk once a second.
"""

import gc


def leave_out_what_stands() -> None:
    """Take what there is for kept, until this is called again. What is let go of is freed as ever, but for cycles."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
