"""Comparisons as rows and folders: state, events, who computes, what is shared of them."""
