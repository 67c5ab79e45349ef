from advisor.audit.check import Check
from advisor.audit.unknown_tokens import UnknownTokens, audit_unknown_tokens
from advisor.decision.constraints import ArmTraits, Constraints, breach, check_constraints
from advisor.results.comparison import Severity

BURMESE = UnknownTokens("embedder", "all-MiniLM-L6-v2", {"questions": 0.1, "documents": 0.6}, "Use words.")
ENGLISH = UnknownTokens("embedder", "all-MiniLM-L6-v2", {"questions": 0.0, "documents": 0.2}, "Use words.")


def test_an_embedder_that_does_not_know_the_script_is_named_with_its_arms() -> None:
    (finding,) = audit_unknown_tokens([(BURMESE, ["rag", "hybrid"])])
    assert (finding.check, finding.severity) == (Check.UNKNOWN_TOKENS, Severity.WARN)
    assert finding.message == (
        "60% of the documents are unknown tokens to the embedder all-MiniLM-L6-v2, so rag and hybrid cannot win."
    )
    assert finding.remedy == "Use words."


def test_it_is_silent_up_to_the_limit_and_where_no_arm_depends_on_the_model() -> None:
    assert audit_unknown_tokens([(ENGLISH, ["rag"]), (BURMESE, [])]) == []


def test_an_arm_that_cannot_read_its_texts_is_out_of_the_verdict_without_any_constraint() -> None:
    unread = ArmTraits(True, False, "cpu", unreadable=BURMESE.message)
    reason = breach(check_constraints(Constraints(), "rag", unread, None))
    assert reason == "rag is out: 60% of the documents are unknown tokens to the embedder all-MiniLM-L6-v2."
    assert check_constraints(Constraints(), "rag", ArmTraits(True, False, "cpu"), None) == ()
