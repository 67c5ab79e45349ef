"""Arms besides the kinds on the one model: on a model of their own, from a file, at a service, trained elsewhere."""

import re

import streamlit as st

from advisor.arms import ARM_KINDS, ArmKind, parse_arm
from lm.errors import ConfigError
from service.contract.client import ServiceClient
from ui.comparison.model_picker import base_models
from ui.connection import cache_owner
from ui.untrusted import shown

_ROWS = "further arms"
_FILE_TYPES = {"answers": ["jsonl", "csv"], "prompt": ["txt", "md", "toml"]}


def further_arms(client: ServiceClient, kinds: list[ArmKind]) -> tuple[list[str], dict[str, str]]:
    """The arms that the visitor adds, as they are asked for, and the texts of their files by name.

    Args:
        kinds: Those that need no source and can run with some model.
    """
    rows: list[int] = st.session_state.setdefault(_ROWS, [])
    arms: list[str] = []
    files: dict[str, str] = {}
    with st.expander("Arms of other models and from outside", icon=":material/add_link:", expanded=bool(rows)):
        st.caption(
            "Another model, your own prompt, a service that already answers, answers you have in a file, or an adapter "
            "trained elsewhere: on the same questions."
        )
        offered = [*kinds, *(kind for kind in ARM_KINDS.values() if kind.source)]
        for number in rows:
            with st.container(border=True):
                arm = _arm_of_row(client, number, offered, files)
            if arm:
                arms.append(arm)
        st.button("Add an arm", icon=":material/add:", on_click=_add, key="add arm")
    return arms, files


def _add() -> None:
    rows: list[int] = st.session_state[_ROWS]
    rows.append(max(rows, default=0) + 1)


def _remove(number: int) -> None:
    st.session_state[_ROWS].remove(number)


def _arm_of_row(client: ServiceClient, number: int, kinds: list[ArmKind], files: dict[str, str]) -> str:
    """The arm of one row; "" while something is missing."""
    kind_field, name_field, remove = st.columns([3, 3, 1], vertical_alignment="bottom")
    labels = {kind.name: f"{kind.name}: {kind.label}" for kind in kinds}
    name_of_kind = kind_field.selectbox(
        "Kind of arm",
        list(labels),
        list(labels).index("external"),
        format_func=labels.__getitem__,
        key=f"kind {number}",
    )
    name = name_field.text_input(
        "Name of the arm", placeholder="optional: letters, digits, . _ and -", max_chars=64, key=f"arm name {number}"
    )
    remove.button("Remove", on_click=_remove, args=(number,), key=f"remove arm {number}")
    kind = ARM_KINDS[name_of_kind]
    source = _source(client, number, kind, files)
    model = _model(number, kind)
    if source is None:
        return ""
    text = f"{name.strip()}={kind.name}" if name.strip() else kind.name
    text += (f":{source}" if kind.source else "") + (f"@{model}" if model else "")
    try:
        parse_arm(text)
    except ConfigError as error:
        st.warning(shown(str(error), 500), icon=":material/warning:")
        return ""
    return text


def _source(client: ServiceClient, number: int, kind: ArmKind, files: dict[str, str]) -> str | None:
    """What stands after the colon; None while it is missing."""
    if kind.source == "URL":
        help_text = "Up to /v1, as OpenAI's clients have it; asked by the service, so it must be reached from there."
        placeholder = "https://our-app.example/v1"
        return st.text_input("Address", placeholder=placeholder, help=help_text, key=f"url {number}").strip() or None
    if kind.source == "PATH":
        adapters = {one.spec: one for one in base_models(client, cache_owner()) if one.place in ("adapter", "folder")}
        if not adapters:
            st.info("The service offers no models or adapters; its operator can, with `serve --models DIR`.")
            return None
        chosen = st.selectbox(
            "Adapter or model of the service",
            list(adapters),
            format_func=lambda spec: f"{spec}: {adapters[spec].message}"[:200],
            key=f"adapter {number}",
        )
        return str(chosen)
    if kind.source == "FILE":
        sent = st.file_uploader("File", _FILE_TYPES[kind.name], key=f"file {number}")
        return _keep(number, sent.name, sent.getvalue(), files) if sent is not None else None
    return ""


def _keep(number: int, name: str, content: bytes, files: dict[str, str]) -> str | None:
    """A name for the file that a request can hold, under which its text is kept."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        st.error(f"{shown(name, 80)} is not in UTF-8; save it so, and choose it again.")
        return None
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[-80:] or "file"
    kept = kept if kept not in files else f"{number}-{kept}"
    files[kept] = text
    return kept


def _model(number: int, kind: ArmKind) -> str:
    if not kind.generates and not kind.outside:
        return ""
    label = "Model" if kind.generates else "Name of its model, for requests and prices"
    placeholder = "that of the other arms" if kind.generates else ""
    return st.text_input(label, placeholder=placeholder, key=f"own model {number}").strip()
