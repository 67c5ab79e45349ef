from dataclasses import replace

from advisor.report.sections.economics import cost_table, net_value_table, speed_table


def _cells(table, arm):
    row = next(row for row in table.rows if row.cells[0].text.split(" (")[0] == arm)
    return dict(zip(table.columns, row.cells, strict=True))


def test_builds_are_split_and_serving_has_its_spread(comparison):
    hybrid = _cells(cost_table(comparison), "hybrid")

    assert (hybrid["Build, once"].text, hybrid["Build, once"].detail) == (
        "$0.01",
        "index under a cent + training $0.01",
    )
    serve = hybrid["Serve 1,000 queries"]
    assert (serve.text, serve.detail) == ("$0.01", "[$0.01, $0.01]")
    assert hybrid["Serve 1,000, adapter merged"].text == "$0.01"
    assert hybrid["Total, a month"].detail.startswith("[$0.9")
    assert hybrid["This evaluation, once"].text == "under a cent"


def test_the_cached_share_stands_beside_the_whole_prompt(comparison):
    assert "cached" not in speed_table(comparison).note
    arms = tuple(
        replace(arm, usage_per_question=replace(arm.usage_per_question, input_tokens=400, cached_tokens=300))
        for arm in comparison.arms
    )
    table = speed_table(replace(comparison, arms=arms))
    cell = _cells(table, "base")["Tokens in, a question"]
    assert (cell.text, cell.detail) == ("400", "300 cached (75 %)")
    assert "was not read again" in table.note


def test_what_has_no_spread_or_no_adapter_shows_none(comparison):
    base, rag = (_cells(cost_table(comparison), arm) for arm in ("base", "rag"))

    assert base["Serve 1,000 queries"].detail == ""
    assert base["Build, once"].detail == ""
    assert rag["Build, once"].detail == "all index"
    assert rag["Serve 1,000, adapter merged"].text == "–"


def test_a_merged_price_that_is_the_same_takes_no_column(comparison):
    arms = tuple(
        replace(arm, cost=replace(arm.cost, merged_serve_usd_per_query=arm.cost.serve_usd_per_query))
        if arm.cost
        else arm
        for arm in comparison.arms
    )

    assert "Serve 1,000, adapter merged" not in cost_table(replace(comparison, arms=arms)).columns


def test_what_arms_share_of_the_basis_is_said_once(comparison):
    table = cost_table(comparison)

    assert table.note.endswith("Basis: own machine at 0.08 USD/h.")
    assert _cells(table, "rag")["Arm"].detail == "fully used at 2.5 questions/s"


def test_net_values_stand_beside_the_costs_taken_off(comparison):
    table = net_value_table(comparison)
    rag = _cells(table, "rag")

    assert len(table.rows) == 5
    assert rag["Worth of 1,000 answers"].detail == "[$0.03, $0.04]"
    assert rag["Costs a month"].text == "$0.90"
    assert (rag["Brings a month, costs taken off"].text, rag["Brings a month, costs taken off"].detail) == (
        "$2.40",
        "[$1.74, $3.06]",
    )


def test_an_arm_without_a_net_value_is_a_dash(comparison):
    table = net_value_table(replace(comparison, net_values=comparison.net_values[:1]))

    assert [cell.text for cell in _cells(table, "rag").values()][1:] == ["–", "–", "–"]


def test_without_declared_worth_there_is_no_table(old_comparison):
    assert net_value_table(old_comparison) is None
