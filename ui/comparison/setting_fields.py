"""Fields for the settings of a comparison, made of their declarations. The address keeps what is set."""

import re
import tomllib
from dataclasses import MISSING
from pathlib import Path
from typing import Any, get_origin

import streamlit as st

from advisor.decision.constraints import GOOD_ENOUGH
from lm.setting import DeclaredSetting, declared_settings
from service.contract.settings import EFFORT, EFFORTS, DeclaredSettings, Effort

_ELSEWHERE = ("dataset", "task", "model", "arms", "prior")
_BY_EFFORT = {name for changes in EFFORTS.values() for name in changes}
_DECLARED = {one.name: one for one in declared_settings(DeclaredSettings)}
_BAR = next(one for one in _DECLARED["constraints"].inner if one.name == GOOD_ENOUGH)


def model_field() -> str:
    """The model that all arms start from."""
    return str(_field(_DECLARED["model"], "Model that all arms start from") or _DECLARED["model"].default)


def setting_fields() -> dict[str, Any]:
    """What the visitor sets otherwise than by default: the basics at once, the rest folded away."""
    bar = _fields([_BAR])
    effort = st.selectbox(
        "Effort",
        tuple(Effort),
        list(Effort).index(Effort.STANDARD),
        help=EFFORT.help,
        key="effort",
        bind="query-params",
    )
    given: dict[str, Any] = {"effort": effort} if effort != Effort.STANDARD else {}
    groups: dict[str, list[DeclaredSetting]] = {}
    for one in _DECLARED.values():
        if one.name not in _ELSEWHERE and not one.setting.is_local:
            groups.setdefault(one.setting.group, []).append(one)
    given |= _fields(groups.pop(""))
    with st.expander("Advanced settings", icon=":material/settings:"):
        for tab, listed in zip(st.tabs(list(groups)), groups.values(), strict=True):
            with tab:
                given |= _fields(listed)
    if constraints := bar | given.get("constraints", {}):
        given["constraints"] = constraints
    return given


def group_fields(group: Any, place: str) -> dict[str, Any]:
    """What the visitor sets of a group of settings otherwise than by default; the address keeps none of it.

    Args:
        place: Where on the page, since a form may be on it twice.
    """
    return _fields(list(declared_settings(group)), place)


def _fields(listed: list[DeclaredSetting], place: str = "") -> dict[str, Any]:
    given: dict[str, Any] = {}
    for one in listed:
        inner = [part for part in one.inner if part != _BAR]
        value = _fields(inner, place) if inner else _field(one, place=place)
        if value not in (None, "", {}, ()) and value != one.default:
            given[one.name] = value
    return given


def _field(one: DeclaredSetting, label: str = "", *, place: str = "") -> Any:
    """A field of the kind that fits the type; None or "" where nothing is given."""
    setting = one.setting
    label = label or re.split(r"[:;,(]|(?<=[?]) ", setting.help)[0].removesuffix(".")
    if one.kind is Path:
        file = st.file_uploader(label, "toml", help=setting.help, key=one.name)
        return _read(file.getvalue()) if file is not None else None
    # What an effort sets is left to it.
    default = None if one.default is MISSING or one.name in _BY_EFFORT else one.default
    shared: dict[str, Any] = {
        "key": place + one.option.strip("-").replace("-", "_"),
        "help": setting.help,
    } | ({} if place else {"bind": "query-params"})
    if one.kind is bool:
        return st.toggle(label, bool(default), **shared)
    shared["placeholder"] = setting.unset or ("by the effort" if default is None else "")
    if one.choices:
        return st.selectbox(label, one.choices, one.choices.index(default) if default else None, **shared)
    if one.kind is str:
        return st.text_input(label, default or "", **shared)
    if get_origin(one.kind) is tuple:
        listed = st.text_input(label, ", ".join(default or ()), **shared)
        return tuple(part.strip() for part in listed.split(",") if part.strip())
    low = setting.ge if setting.ge is not None else setting.gt
    high = setting.lt - (one.kind is int) if setting.lt is not None else setting.le
    least, most, start = (one.kind(value) if value is not None else None for value in (low, high, default))
    return st.number_input(label, least, most, start, format="%g" if one.kind is float else None, **shared)


def _read(content: bytes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        st.error(f"The price list cannot be read: {error}")
        st.stop()
