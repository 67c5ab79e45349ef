"""The page in a real browser, with a real service behind it: from files to a gate, for everyone, whatever the texts."""

import csv
import io
import re
import shutil
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from service.contract.client import ServiceClient, ServiceError
from tests.e2e.echo_endpoint import echo_endpoint
from tests.e2e.served_page import (
    PAGES,
    PHONE,
    TIMEOUT_MS,
    BrowserMissingError,
    ServedPage,
    Tab,
    chromium,
    open_tab,
    served_page,
)
from tests.e2e.story import ATTACKS, SCRIPTS, attack_answer, attack_files, lamp_files

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(1800)]

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMPARED_MS = 900_000
expect.set_options(timeout=TIMEOUT_MS)
ARMS = ("base", "rag", "fine-tuned")
ASKED = re.compile("^Question: ")
# Of each view of the data what is drawn last.
VIEWS = {
    "Questions": "Choose a row to see all of it.",
    "Documents": "characters",
    "Edit": "Save as a new version",
    "Review": "Next",
    "Overview": "Keep or delete",
}
ATTACKED_NAME = "<img src=x onerror=window.ran=1> [press](javascript:window.ran=1) $x^2$ :red[r]"
# Streamlit's own widgets, which the page cannot change.
NOT_OURS = {
    # The navigation puts its sections as <div> between <ul> and <li>.
    "list": "[data-testid=stSidebarNavItems]",
    "listitem": "[data-testid=stSidebarNavItems] li",
}
# A chosen pill is written in the primary colour on a shade of it, and a button in white on the primary colour: on a
# dark page no colour gives both a contrast of 4.5. Ours gives it to buttons.
NOT_OURS_IN_THE_DARK = {"color-contrast": "[data-variant=pills] *, [role=radiogroup] *"}


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    try:
        with chromium() as found:
            yield found
    except BrowserMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with echo_endpoint() as url:
        yield url


@pytest.fixture(scope="module")
def served(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    """After the browser: without one there is nothing to start."""
    environment = {"HF_HUB_OFFLINE": "1", "TUNING_FORK_ALLOWED_ENDPOINTS": "127.0.0.1"}
    with served_page(tmp_path_factory.mktemp("page") / "home", environment=environment) as page:
        yield page


@dataclass(frozen=True)
class Story:
    """A finished comparison."""

    served: ServedPage
    comparison: str

    def address(self, title: str) -> str:
        return self.served.address(title, self.comparison)


@pytest.fixture(scope="module")
def story(served: ServedPage, browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A comparison made by hand: upload a folder of texts with a table, start, look on, reload, wait."""
    folder = tmp_path_factory.mktemp("texts") / "lamps"
    folder.mkdir()
    for name, content in lamp_files().items():
        (folder / name).write_bytes(content)
    with open_tab(browser) as tab:
        page = tab.open(served.address("Data"), "Data")
        page.get_by_text("Upload documents and questions").click()
        page.get_by_text("A folder", exact=True).click()
        page.locator("input[type=file][webkitdirectory]").set_input_files(folder)
        page.get_by_text("It can be used: 12 documents; questions: 12 train, 12 validation, 42 test.").wait_for()
        page.get_by_role("button", name="Store this dataset").click()
        page.get_by_text("12 documents · questions: 12 train, 12 validation, 42 test").wait_for()
        page.get_by_role("link", name="Compare on this dataset").click()
        tab.settle("New comparison")
        for arm in ("few-shot", "hybrid"):
            page.get_by_role("button", name=arm, exact=True).click()
        page.get_by_text("Advanced settings").click()
        write(page, "Passages retrieved for a question", "1")
        write(page, "Longest passage in tokens", "64")
        page.get_by_role("tab", name="Prompt and tuning").click()
        write(page, "Maximum number of training epochs", "1")
        page.get_by_text("Tokens read and written").wait_for()
        tab.settle()
        page.get_by_role("button", name="Start the comparison").click()
        page.wait_for_url("**/progress?comparison=*")
        tab.settle("Progress")
        stage = page.get_by_text("Answer the test questions · base: ")
        stage.wait_for(timeout=COMPARED_MS)
        page.reload()
        stage.wait_for()
        page.get_by_role("link", name="Read the decision").wait_for(timeout=COMPARED_MS)
        tab.settle("Progress")
        assert_harmless(tab)
    return Story(served, parse_qs(urlsplit(page.url).query)["comparison"][0])


@pytest.fixture(scope="module")
def attacked(served: ServedPage, story: Story, endpoint: str) -> Story:
    """A comparison in which every text is an attack: sent through the API, answered by an endpoint that echoes."""
    with served.client() as client:
        version = client.upload_dataset(attack_files()).version
        made = client.create_comparison(
            {
                "dataset": version,
                "name": ATTACKED_NAME,
                "model": f"openai:echo@{endpoint}",
                "arms": ["base", "few-shot", "rag"],
                "top_k": 2,
            }
        )
        done = client.wait_for_comparison(made.id, timeout_s=800)
        assert done.state == "succeeded", done.error
        client.cast_vote(
            made.id, question=ATTACKS[0], arms=("base", "rag"), preferred=None, voter="<script>window.ran=1</script>"
        )
        client.set_baseline("attacked", made.id)
    return Story(served, made.id)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, as npm has it."""
    if shutil.which("npm") is None:
        pytest.skip("axe-core is fetched with npm, which is not installed")
    folder = tmp_path_factory.mktemp("axe")
    fetched = subprocess.run(
        ["npm", "pack", "axe-core@4", "--silent"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    archives = list(folder.glob("axe-core-*.tgz"))
    if fetched.returncode or not archives:
        pytest.skip(f"npm could not fetch axe-core: {fetched.stderr.strip()[-300:]}")
    with tarfile.open(archives[0]) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode("utf-8")


def test_moving_the_volume_past_its_flip_changes_the_verdict(story: Story, browser: "Browser") -> None:
    with story.served.client() as client:
        asked = {"parts": ["flips"], "values": {"right_usd": 0.0001, "wrong_usd": 0}}
        reply = client.decide_again(story.comparison, asked)
    below = next(flip.below for flip in reply.flips if flip.axis == "queries_per_month")
    assert reply.recommendation.arm == "rag"
    assert below is not None
    with open_tab(browser) as tab:
        page = tab.open(story.address("Decision"), "Decision")
        page.get_by_role("heading", name=re.compile("^Ship rag")).wait_for()
        page.get_by_text("Answers have a worth in money").click()
        write(page, "A right answer brings (USD)", "0.0001")
        page.get_by_text("What if: as decided").wait_for()
        slider = page.get_by_role("slider", name="Questions a month").first
        told = page.get_by_role("group", name="Questions a month").locator("p").first
        for _ in range(200):
            if volume(told) <= below.value:
                break
            before = told.inner_text()
            slider.press("ArrowLeft")
            # A key that falls into the moment in which the controls are drawn again is lost: press again.
            with suppress(AssertionError):
                expect(told).not_to_have_text(before, timeout=5_000)
        page.get_by_text("What if: flipped from rag").wait_for()
        page.get_by_role("heading", name=re.compile(f"Ship {below.arm}:|{below.arm} has the highest")).wait_for()
        page.get_by_role("button", name="Back to what was decided").click()
        page.get_by_role("heading", name=re.compile("^Ship rag")).wait_for()
        expect(page.get_by_text("What if:")).to_have_count(0)
        assert_harmless(tab)


def test_a_wrong_answer_is_shown_with_its_failure_and_its_passage(story: Story, browser: "Browser") -> None:
    with story.served.client() as client:
        wrong = client.list_questions(story.comparison, arm="rag", failure="any").items[0]
        given = client.list_results(story.comparison, arm="rag", example_id=wrong.example_id).items[0]
    with open_tab(browser) as tab:
        page = tab.open(story.address("Evidence"), "Evidence")
        choose(page, "Arm", "rag")
        choose(page, "Wrong because", "any failure")
        page.get_by_text(f"Question: {wrong.question}").wait_for()
        page.locator("tr.open").get_by_text(wrong.failures["rag"]).first.wait_for()
        page.locator(".stMarkdownBadge", has_text=wrong.failures["rag"]).first.wait_for()
        page.locator("summary", has_text=f"{given.answer.retrieved[0].title} · ").first.click()
        shared = " ".join(given.answer.retrieved[0].text.split()[-3:])
        page.get_by_text(shared).filter(visible=True).first.wait_for()
        assert_harmless(tab)


def test_clicks_and_keys_lead_through_the_questions(story: Story, browser: "Browser") -> None:
    with story.served.client() as client:
        questions = [row.question for row in client.list_questions(story.comparison, limit=4).items]
    with open_tab(browser) as tab:
        page = tab.open(story.address("Evidence"), "Evidence")
        page.get_by_role("button", name=questions[2], exact=True).click()
        page.get_by_text(f"Question: {questions[2]}", exact=True).wait_for()
        page.keyboard.press("j")
        page.get_by_text(f"Question: {questions[3]}", exact=True).wait_for()
        page.keyboard.press("k")
        page.get_by_text(f"Question: {questions[2]}", exact=True).wait_for()
        # A letter typed into a field is a letter.
        page.get_by_role("textbox", name="Search", exact=True).press_sequentially("j")
        expect(page.get_by_text("question 3 of ")).to_be_visible()
        assert_harmless(tab)


def test_all_arms_answer_and_a_blind_vote_is_counted(story: Story, browser: "Browser") -> None:
    await_models(story)
    question = "How long is the warranty of the Larch lamp?"
    with story.served.client() as client:
        answers = {arm["kind"]: arm["answer"]["text"] for arm in client.ask_all(story.comparison, question)}
    with open_tab(browser) as tab:
        page = tab.open(story.address("Playground"), "Playground")
        page.get_by_label("Question", exact=True).fill(question)
        page.get_by_role("button", name="Ask").click()
        expect_answers(page, len(ARMS))
        page.get_by_text(answers["rag"], exact=True).first.wait_for()
        page.get_by_label("Question for the vote").fill("How tall is the Larch lamp?")
        page.get_by_role("button", name="Show two answers").click()
        page.get_by_text("Answer B").wait_for()
        assert not page.get_by_text("A was ").is_visible()
        page.get_by_role("button", name="A is better").click()
        page.get_by_text("Your vote: A is better. A was ").wait_for()
        assert_harmless(tab)
    with story.served.client() as client:
        assert sum(tally["n_first"] + tally["n_second"] for tally in client.list_votes(story.comparison)) == 1


def test_reports_are_downloaded_as_the_service_has_them(story: Story, browser: "Browser") -> None:
    with open_tab(browser) as tab, story.served.client() as client:
        page = tab.open(story.address("Reports & CI"), "Reports & CI")
        for label, name in (("Report (HTML)", "report.html"), ("Every answer (CSV)", "results.csv")):
            with page.expect_download() as download:
                page.get_by_role("button", name=label).click()
            assert download.value.path().read_bytes() == client.get_report(story.comparison, name)
            assert download.value.suggested_filename == f"{story.comparison}-{name}"
        assert_harmless(tab)


def test_the_report_is_printed_on_one_page_and_unfolded_on_six_at_most(
    story: Story, browser: "Browser", tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    with story.served.client() as client:
        file.write_bytes(client.get_report(story.comparison, "report.html"))
    with open_tab(browser) as tab:
        tab.page.goto(file.as_uri())
        folded = tab.page.pdf(format="A4")
        tab.page.evaluate("document.querySelector('details.rest').open = true")
        unfolded = tab.page.pdf(format="A4")
        assert_harmless(tab)
    assert n_pages(folded) == 1
    assert 1 < n_pages(unfolded) <= 6


@pytest.mark.parametrize("number", range(5))
def test_five_questions_are_answered_within_the_clicks_that_are_promised(
    number: int, story: Story, browser: "Browser"
) -> None:
    promised = re.findall(r"^\| (.+\?) \| (\d) \|", (DOCS / "page.md").read_text(), re.MULTILINE)
    question, n_clicks = promised[number]
    with story.served.client() as client:
        done = client.get_comparison(story.comparison)
        arm, headline = done.recommended_arm, done.headline or ""
    with open_tab(browser) as tab:
        page = tab.open(story.served.address("Start"), "Start")
        page.evaluate(
            "addEventListener('click', one => { window.clicked = (window.clicked ?? 0) + one.isTrusted }, true)"
        )
        page.locator(f"a[href*='{story.comparison}']", has_text="Decision").first.click()
        main = page.locator("[data-testid=stMain]")
        row = main.locator(".facts tr.recommended")
        answers = {
            "Which arm do we ship?": main.get_by_role("heading", name=headline),
            "How good is it?": row.get_by_text(re.compile(r"\d \[\d+\.\d, \d+\.\d\]")),
            "How sure is that?": main.get_by_text(re.compile(f"{arm} is the best in .* of samples like this one")),
            "What does it cost?": row.locator("td.price", has_text="$"),
            "What would change it?": main.get_by_text("Every input and its nearest flips"),
        }
        answers[question].first.wait_for()
        if question == "What would change it?":
            answers[question].click()
            main.get_by_text("What another value of one input would change").wait_for()
        assert page.evaluate("window.clicked") == int(n_clicks) <= 3
        assert_harmless(tab)
    assert len(promised) == 5


def test_a_gate_is_tried_and_written_out(story: Story, browser: "Browser") -> None:
    with open_tab(browser) as tab:
        page = tab.open(story.address("Reports & CI"), "Reports & CI")
        choose(page, "Arm", "rag")
        write(page, "Is at least (0 to 1)", "0.1")
        page.get_by_role("button", name="Try the gate on this comparison").click()
        page.get_by_text(re.compile("^Pass")).first.wait_for()
        # What stands below is drawn after what stands above.
        block = page.locator("[data-testid=stCode]", has_text="[[gate.threshold]]").filter(has_text="at_least = 0.1")
        written = block.filter(has_text='arm = "rag"').first.inner_text()
        page.get_by_role("tab", name="GitLab").click()
        page.get_by_text("tuningfork ci tuning-fork.toml").wait_for()
        assert_harmless(tab)
    gate = tomllib.loads(written)
    assert gate["gate"]["threshold"] == [{"arm": "rag", "measure": "contains_answer", "at_least": 0.1}]


@pytest.mark.parametrize("title", PAGES)
def test_everyone_can_use_the_page(title: str, story: Story, browser: "Browser", axe: str) -> None:
    with open_tab(browser) as tab:
        tab.open(story.address(title), title)
        assert findings(tab, axe, NOT_OURS) == []
        assert_harmless(tab)


@pytest.mark.parametrize("title", PAGES)
def test_the_page_works_on_a_phone_in_the_dark(title: str, story: Story, browser: "Browser", axe: str) -> None:
    with open_tab(browser, size=PHONE, scheme="dark") as tab:
        page = tab.open(story.address(title), title)
        width = "e => Math.max(e.scrollWidth, document.documentElement.scrollWidth)"
        assert page.locator("[data-testid=stMain]").evaluate(width) <= PHONE[0]
        background = page.locator("[data-testid=stApp]").evaluate("e => getComputedStyle(e).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 64
        assert findings(tab, axe, NOT_OURS | NOT_OURS_IN_THE_DARK) == []
        assert_harmless(tab)


@pytest.mark.parametrize("title", PAGES)
def test_no_text_of_others_comes_to_life(title: str, attacked: Story, browser: "Browser") -> None:
    with open_tab(browser) as tab:
        page = tab.open(attacked.address(title), title)
        if title == "Data":
            for view, told in VIEWS.items():
                page.get_by_role("radio", name=view, exact=True).or_(
                    page.get_by_role("button", name=view, exact=True)
                ).first.click()
                page.get_by_text(told).first.wait_for()
                tab.settle()
                assert_lifeless(tab)
        if title == "Playground":
            page.get_by_label("Question", exact=True).fill("\n".join(ATTACKS))
            page.get_by_role("button", name="Ask").click()
            expect_answers(page, 3)
        for fold in page.locator("[data-testid=stMain] summary").all():
            fold.click()
        tab.settle()
        assert_lifeless(tab)


def test_no_answer_of_others_comes_to_life_among_the_evidence(attacked: Story, browser: "Browser") -> None:
    with attacked.served.client() as client:
        rows = client.list_questions(attacked.comparison).items
    with open_tab(browser) as tab:
        page = tab.open(attacked.address("Evidence"), "Evidence")
        for row in rows:
            write(page, "Search", row.question.split("\n")[0])
            expect(page.locator("[data-testid=stText]", has_text=ASKED).first).to_contain_text(row.question)
            tab.settle()
            assert_lifeless(tab)


def test_no_text_of_others_comes_to_life_in_the_report(attacked: Story, browser: "Browser", tmp_path: Path) -> None:
    """Opened as a file, where no header of the service protects it, with every part unfolded."""
    file = tmp_path / "report.html"
    with attacked.served.client() as client:
        file.write_bytes(client.get_report(attacked.comparison, "report.html"))
        asked = [row.question for row in client.list_questions(attacked.comparison).items]
    with open_tab(browser) as tab:
        tab.page.goto(file.as_uri())
        tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        shown = tab.page.locator(".asked").all_inner_texts()
        assert len(shown) == len(asked)
        assert sum("window.ran" in text for text in shown) == sum("window.ran" in text for text in asked) > 0
        examples = tab.page.locator("section", has=tab.page.locator("#examples")).inner_text()
        assert any(text.splitlines()[0] in examples for text in (*ATTACKS, *SCRIPTS))
        assert_lifeless(tab)


def test_every_script_arrives_unharmed(attacked: Story, browser: "Browser") -> None:
    with attacked.served.client() as client:
        asked = [row.question.removesuffix("?") for row in client.list_questions(attacked.comparison).items]
        texts = [text for text in SCRIPTS if text in asked]
        table = list(csv.DictReader(io.StringIO(client.get_report(attacked.comparison, "results.csv").decode("utf-8"))))
        report = client.get_report(attacked.comparison, "report.html").decode("utf-8")
    table_arms = {row["arm"] for row in table}
    assert texts
    for text in texts:
        rows = [row for row in table if row["question"] == f"{text}?"]
        assert [row["references"] for row in rows] == [attack_answer(text)] * len(table_arms)
        assert all(text in row["answer"] for row in rows if row["arm"] in ("base", "few-shot", "rag"))
        assert text in report
    with open_tab(browser) as tab:
        page = tab.open(attacked.address("Evidence"), "Evidence")
        for text in texts:
            write(page, "Search", text)
            expect(page.locator("[data-testid=stText]", has_text=ASKED).first).to_have_text(f"Question: {text}?")
            page.get_by_text(f"Right answer: {attack_answer(text)}", exact=True).wait_for()


def write(page: "Page", label: str, value: str) -> None:
    """Into a field, and leave it."""
    field = page.get_by_label(label, exact=True).first
    field.fill(value)
    field.press("Enter")
    page.locator("[data-test-script-state=notRunning]").wait_for()


def choose(page: "Page", label: str, value: str) -> None:
    """One of a list."""
    page.get_by_role("combobox", name=label).first.click()
    page.get_by_role("option", name=value, exact=True).click()
    page.locator("[data-test-script-state=notRunning]").wait_for()


def await_models(story: Story) -> None:
    """Ask until every model is loaded: who asks meanwhile is told to ask again, which a busy machine makes long."""
    deadline = time.monotonic() + COMPARED_MS / 1000
    with story.served.client() as client:
        for arm in ARMS:
            while not _has_answered(client, story.comparison, arm):
                assert time.monotonic() < deadline, f"{arm} is not loaded"


def _has_answered(client: ServiceClient, comparison: str, arm: str) -> bool:
    try:
        client.ask(comparison, arm, ["How tall is the Oak lamp?"])
    except ServiceError as error:
        if error.status != 503:
            raise
        time.sleep(error.retry_after_s or 1)
        return False
    return True


def expect_answers(page: "Page", n: int) -> None:
    """So many arms have answered, and none says that it cannot."""
    refused = page.locator("[data-testid=stMain] [role=alert]")
    expect(page.get_by_text(" in the model · ").or_(refused)).to_have_count(n, timeout=2 * TIMEOUT_MS)
    assert refused.all_inner_texts() == []


def n_pages(pdf: bytes) -> int:
    """Pages of a file that Chromium printed."""
    return len(re.findall(rb"/Type /Page\b", pdf))


def volume(told: "Locator") -> float:
    """What a slider says of itself."""
    return float(told.inner_text().replace(",", ""))


_SERIOUS = """async others => {
  const found = await axe.run(document, { elementRef: true, resultTypes: ["violations"] });
  return found.violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .flatMap(one => one.nodes
      .filter(node => !(one.id in others && node.element.matches(others[one.id])))
      .map(node => [one.id, node.html]));
}"""


def findings(tab: Tab, axe: str, excluded: Mapping[str, str]) -> list[list[str]]:
    """Serious and critical findings of axe, as rule and element, but for those that `excluded` names by rule."""
    tab.page.evaluate(axe)
    # In one go: an element that is drawn again meanwhile could not be found again.
    found: list[list[str]] = tab.page.evaluate(_SERIOUS, dict(excluded))
    return found


def assert_harmless(tab: Tab) -> None:
    """No request left this machine, no window opened, no script failed, no page told of a defect."""
    assert (tab.strangers, tab.dialogs, tab.faults) == ([], [], [])
    assert tab.page.get_by_text("Something failed here").count() == 0


def assert_lifeless(tab: Tab) -> None:
    """Nothing of a text was run, fetched, linked or set as a formula."""
    assert_harmless(tab)
    assert tab.page.evaluate("window.ran") is None
    assert (
        tab.page.evaluate(
            "[document, ...[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)]"
            ".flatMap(root => [...root.querySelectorAll("
            "'a[href], area[href], form[action], [src], [srcdoc], object[data]')])"
            ".map(e => e.href || e.action || e.src || e.data || e.srcdoc)"
            ".filter(url => !/^(https?:\\/\\/127\\.0\\.0\\.1:|blob:|data:image|file:.*#|#)/.test(url))"
        )
        == []
    )
    assert tab.page.locator(".katex, iframe, img[src^=x]").count() == 0
