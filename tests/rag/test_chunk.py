import unicodedata
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Document
from lm.errors import ConfigError
from rag.chunk import Chunk, Chunking, chunk_document
from rag.text_unit import split_clusters


def count_words(texts: Sequence[str]) -> list[int]:
    return [2 + len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def count_bytes_in_threes(texts: Sequence[str]) -> list[int]:
    return [1 + -(-len(text.encode("utf-8", "replace")) // 3) for text in texts]


COUNTERS = [count_words, count_characters, count_bytes_in_threes]

BURMESE = (
    "မြန်မာနိုင်ငံသည် အရှေ့တောင်အာရှတွင် တည်ရှိသော နိုင်ငံဖြစ်သည်။ အဝတ်လျှော်စက်ကို မသုံးမီ လက်စွဲစာအုပ်ကို ဖတ်ပါ။ "
    "ရေပိုက်ကို မှန်ကန်စွာ တပ်ဆင်ပြီး ဓာတ်အားကြိုးကို ခြောက်သွေ့သော နေရာတွင် ထားပါ။ သတ္တဝါများကို စက်အနီးတွင် မထားပါနှင့်။ "
)
THAI = "เครื่องซักผ้าต้องวางบนพื้นเรียบและแข็งแรงกรุณาอ่านคู่มือก่อนใช้งานทุกครั้งเพื่อความปลอดภัยของท่านและครอบครัว"
CHINESE = "洗衣机应放在平坦坚固的地面上。使用前请仔细阅读说明书，并检查水管是否连接牢固。脱水时请勿打开机门。"
JAPANESE = "洗濯機は平らで丈夫な床に置いてください。使う前に取扱説明書をよくお読みください。"


def cut(text: str, max_tokens: int = 32, overlap_tokens: int = 8, *, title: str = "", count=count_words) -> list[Chunk]:
    document = Document("doc", title, text)
    return chunk_document(document, chunking=Chunking(max_tokens, overlap_tokens), count_tokens=count)


def assert_sound(text: str, chunks: list[Chunk], max_tokens: int, count: Callable[[Sequence[str]], list[int]]) -> None:
    covered: set[int] = set()
    for number, chunk in enumerate(chunks):
        assert chunk.id == f"doc#{number}"
        own = text[chunk.start : chunk.end]
        assert own == own.strip()
        # Before it the names of a table's columns may stand.
        assert chunk.text == own or (chunk.text.endswith(own) and "|" in chunk.text.removesuffix(own))
        assert chunk.text
        assert chunk.embedded_text.endswith(chunk.text)
        assert chunk.n_tokens == count([chunk.embedded_text])[0]
        assert chunk.n_tokens <= max_tokens or len(split_clusters(own)) == 1
        assert chunk.start == 0 or not unicodedata.category(text[chunk.start]).startswith("M")
        assert chunk.end == len(text) or not unicodedata.category(text[chunk.end]).startswith("M")
        covered.update(range(chunk.start, chunk.end))
    assert not [i for i, character in enumerate(text) if not character.isspace() and i not in covered]
    assert [(c.start, c.end) for c in chunks] == sorted({(c.start, c.end) for c in chunks})
    assert all(a.end < b.end for a, b in zip(chunks, chunks[1:], strict=False))


SCRIPTS = [
    BURMESE,
    THAI,
    CHINESE,
    JAPANESE,
    "plain words here. ",
    "\n\n",
    "# Heading\n",
    "\u0301",
    "👩‍👩‍👧",
    "- item\n",
    "| a | b |\n|---|---|\n",
    "| 1 | 2. |\n",
    "x" * 50,
]
texts = st.one_of(
    st.text(max_size=300),
    st.lists(st.one_of(st.sampled_from(SCRIPTS), st.text(max_size=12)), max_size=12).map("".join),
)


@given(
    text=texts,
    title=st.one_of(st.just(""), st.text(max_size=80)),
    max_tokens=st.integers(32, 80),
    overlap=st.integers(0, 16),
    counter=st.sampled_from(COUNTERS),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_chunks_cover_the_document_within_the_limit_at_true_offsets(text, title, max_tokens, overlap, counter) -> None:
    chunks = cut(text, max_tokens, overlap, title=title, count=counter)
    assert_sound(text, chunks, max_tokens, counter)


@pytest.mark.parametrize("script", [BURMESE, THAI, CHINESE, JAPANESE], ids=["burmese", "thai", "chinese", "japanese"])
def test_scripts_without_spaces_are_cut_and_no_cluster_is_torn(script: str) -> None:
    text = script * 6
    chunks = cut(text, 48, 8, count=count_characters)
    assert len(chunks) > 3
    assert_sound(text, chunks, 48, count_characters)


def test_burmese_syllables_and_stacked_consonants_stay_whole() -> None:
    assert split_clusters("သတ္တဝါ") == ["သ", "တ္တ", "ဝါ"]
    assert split_clusters("မြန်မာ") == ["မြန်", "မာ"]


def test_a_thai_vowel_written_first_stays_with_its_consonant() -> None:
    assert split_clusters("เครื่อง")[0] == "เค"


def test_chinese_is_cut_after_sentences() -> None:
    for chunk in cut(CHINESE * 4, 40, 0, count=count_characters):
        assert chunk.text.endswith("。")


def test_a_short_document_is_one_chunk_with_its_title() -> None:
    (chunk,) = cut("Seven words are not many at all.", title="Tide 7")
    assert chunk.text == "Seven words are not many at all."
    assert chunk.embedded_text == "Tide 7: Seven words are not many at all."


def test_white_space_alone_makes_no_chunk() -> None:
    assert cut(" \n\n\t ") == []
    assert cut("") == []


def test_a_paragraph_end_is_preferred_to_a_sentence_end() -> None:
    text = "One two three. " * 5 + "\n\n" + "Four five six. " * 8
    assert cut(text, 32, 0)[0].text == ("One two three. " * 5).strip()


def test_a_sentence_end_is_preferred_to_a_word() -> None:
    for chunk in cut("One two three four five six seven. " * 12, 32, 0):
        assert chunk.text.endswith("seven.")


def test_neighbours_overlap_by_whole_sentences_within_the_limit() -> None:
    chunks = cut("One two three four. " * 30, 32, 8)
    for earlier, later in zip(chunks, chunks[1:], strict=False):
        shared = earlier.text[later.start - earlier.start :]
        assert shared == "One two three four. One two three four."


def test_each_chunk_carries_its_path_of_headings() -> None:
    text = "# Washers\n\nIntro.\n\n## Tide 7\n\n" + "Spin it well. " * 20 + "\n\n## Tide 9\n\n" + "Load it full. " * 12
    chunks = cut(text, 48, 8)
    assert {chunk.heading for chunk in chunks} == {"Washers", "Washers > Tide 7", "Washers > Tide 9"}
    last = chunks[-1]
    assert last.passage_title == last.heading == "Washers > Tide 9"
    assert last.embedded_text.startswith("Washers > Tide 9: ")


def test_a_first_heading_that_repeats_the_title_is_not_said_twice() -> None:
    (chunk,) = cut("# Tide 7\n\nSpin.", title="Tide 7")
    assert chunk.passage_title == "Tide 7"


TABLE = "| Part | Price | Days |\n| :--- | ---: | --- |\n" + "".join(
    f"| Bracket {i} | 23.{i} | {i} |\n" for i in range(60)
)


@pytest.mark.parametrize(("overlap", "eol"), [(0, "\n"), (12, "\n"), (0, "\r\n")])
def test_a_chunk_that_continues_a_table_begins_with_the_names_of_its_columns(overlap: int, eol: str) -> None:
    text = f"# Parts\n\nWhat we sell.\n\n{TABLE}\nAsk for more. Always.\n".replace("\n", eol)
    chunks = cut(text, 48, overlap, title="Parts")
    assert_sound(text, chunks, 48, count_words)
    assert len(chunks) > 10
    rows = [line for chunk in chunks for line in chunk.text.splitlines() if line.startswith("| Bracket")]
    assert {row.count("|") for row in rows} == {4}
    for chunk in chunks[1:-1]:
        assert chunk.text.startswith("| Part | Price | Days |\n|-|-|-|\n| Bracket")
    assert "Part" not in chunks[-1].text.partition("Ask")[2]


def test_sentences_in_cells_do_not_tear_a_row() -> None:
    table = "a | b\n--|--\n" + "".join(f"Row {i}. It is good. | Ships at once. Really.\n" for i in range(30))
    for chunk in cut(table, 48, 0)[1:]:
        assert chunk.text.startswith("a | b\n-|-\nRow")
        assert chunk.text.endswith("Really.")


def test_names_of_columns_that_leave_no_room_are_left_out() -> None:
    wide = "|" + "|".join(f" a name of column {i} " for i in range(9)) + "|\n|" + "---|" * 9 + "\n"
    chunks = cut(wide + ("|" + " x |" * 9 + "\n") * 9, 32, 0)
    assert_sound(wide + ("|" + " x |" * 9 + "\n") * 9, chunks, 32, count_words)
    assert not chunks[-1].text.startswith("| a name")


def test_a_passage_of_a_document_with_pages_is_titled_with_its_pages() -> None:
    text = "# Kettle care\n\nBoil water first.\n\f\n" + "It is hot. " * 30 + "\n\f\n## Prices\n\nIt costs 100."
    chunks = cut(text, title="Kettle care (manual.pdf)")
    titles = [chunk.passage_title for chunk in chunks]
    assert titles[0] == "Kettle care (manual.pdf), p. 1–2"
    assert titles[1:-1] == ["Kettle care (manual.pdf), p. 2"] * (len(chunks) - 2)
    assert titles[-1] == "Kettle care (manual.pdf), p. 2–3"
    (short,) = cut("\f\nIt costs 100.", title="Manual (manual.pdf)")
    assert short.embedded_text == "Manual (manual.pdf), p. 2: It costs 100."


def test_lines_with_bars_that_are_no_table_are_left_as_they_are() -> None:
    text = "Run a | b\nthen c | d.\n\n" + "Words and more words. " * 30
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in cut(text, 32, 0))


def test_a_title_longer_than_a_chunk_leaves_room_for_text() -> None:
    chunks = cut("word " * 100, title="title " * 500)
    assert all(chunk.n_tokens <= 32 and "word" in chunk.text for chunk in chunks)
    assert chunks[0].title == "title " * 500


@pytest.mark.parametrize(("max_tokens", "overlap"), [(8, 0), (64, 33), (64, -1)])
def test_sizes_that_cannot_work_are_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(ConfigError):
        Chunking(max_tokens, overlap)
