"""The table of all checks. To add one: a name here, a function, an entry in docs/audit.md, a planted fault."""

from enum import StrEnum

MAX_ITEMS = 10
"""A finding counts everything and lists this much of it."""


class Check(StrEnum):
    """What a finding is called: `AuditFinding.check`."""

    # The data, before anything is built.
    LEAKAGE = "leakage"
    LEAKED_PARAPHRASE = "leaked paraphrase"
    LEAKED_GROUP = "leaked group"
    DUPLICATES = "duplicate questions"
    SLICES = "slices"
    TOO_FEW_QUESTIONS = "too few questions"
    SWAPPED_GOLD = "swapped gold"
    MALFORMED_ROWS = "malformed rows"
    DECLINING_REFERENCES = "references that decline"
    UNREAD_FIELDS = "fields not read"
    NO_DOCUMENTS_NAMED = "no documents named"
    UNSHOWN_LABELS = "labels never shown"
    LANGUAGES = "mixed languages"
    DUPLICATE_DOCUMENTS = "duplicate documents"
    BOILERPLATE = "repeated lines"
    MADE_QUESTIONS = "questions by a model"
    # How the arms were built.
    UNEQUAL_PROMPT = "unequal prompt"
    UNEQUAL_DECODING = "unequal decoding"
    UNEQUAL_BASE = "unequal base"
    MIXED_MODELS = "several models"
    OUTSIDE = "made elsewhere"
    OWN_PROMPT = "prompt of its own"
    OTHER_DOCUMENTS = "index of other documents"
    TRUNCATED_ROWS = "training rows left out"
    TOO_FEW_ROWS = "too few training examples"
    DIVERGED = "diverged loss"
    NOT_CONVERGED = "loss not converged"
    OVER_FITTED = "over-fitted adapter"
    OUTPUT_ROOM = "references longer than the output limit"
    JUDGE_FAMILY = "judge of the same family"
    JUDGE_UNCALIBRATED = "uncalibrated judge"
    HUMAN_LABELS = "human labels"
    # What they answered.
    NO_PASSAGES = "no passages"
    RETRIEVAL_FLOOR = "retrieval floor"
    KNOWN_ALREADY = "known already"
    UNSCORED = "unscored answers"
    EMPTY = "empty answers"
    CUT = "cut answers"
    CONSTRAINT_REFUSED = "constraint not taken"
    OUTSIDE_FORM = "answers outside the form"
    COLLAPSE = "one answer to most questions"
    LOST_ABSTENTION = "lost abstention"
    OFF_DOMAIN = "off-domain regression"
    POWER = "power"
    OTHER_METRIC = "another metric, another winner"
