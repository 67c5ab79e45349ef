from lm.completion import GenerationConfig, Message, Role
from lm.fake import FakeLM
from lm.language_model import LanguageModel
from lm.metered_model import MeteredModel

PROMPTS = [(Message(Role.USER, "one two three"),), (Message(Role.USER, "four"),)]
CONFIG = GenerationConfig(max_output_tokens=8)


def test_a_metered_model_answers_as_its_model_and_counts_all_it_took() -> None:
    plain = FakeLM(lambda prompt: prompt[-1].content)
    metered = MeteredModel(plain)
    assert isinstance(metered, LanguageModel)
    assert (metered.name, metered.fingerprint) == (plain.name, plain.fingerprint)
    assert metered.usage.input_tokens == 0

    answers = [*metered.generate(PROMPTS, CONFIG), *metered.generate(PROMPTS[:1], CONFIG)]

    assert [answer.text for answer in answers] == ["one two three", "four", "one two three"]
    assert metered.usage.input_tokens == sum(answer.usage.input_tokens for answer in answers) > 0
    assert metered.usage.output_tokens == sum(answer.usage.output_tokens for answer in answers) > 0

    counted = metered.usage
    assert "".join(metered.stream(PROMPTS[0], CONFIG)) == "one two three"
    assert metered.usage == counted + answers[0].usage
