"""Buttons that put the address of the page, or a summary, on the visitor's clipboard, and the page on paper."""

import streamlit as st

_CSS = """
.copies { display: flex; gap: .5rem; }
button { font: .875rem var(--st-font); color: var(--st-text-color); background: var(--st-background-color);
  cursor: pointer; border: 1px solid var(--st-border-color); border-radius: .5rem; padding: .35rem .75rem; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); outline: none; }
"""
# A page that is not served from this machine or by https has no clipboard of its own; a marked field has.
_JS = """
const copy = async text => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
};
export default function ({ parentElement, data }) {
  const texts = { "Copy link": () => location.href };
  if (data.summary) texts["Copy summary"] = () => data.summary + "\\n" + location.href;
  const row = parentElement.querySelector(".copies");
  const made = label => {
    const button = document.createElement("button");
    button.textContent = label;
    return button;
  };
  row.replaceChildren(...Object.entries(texts).map(([label, text]) => {
    const button = made(label);
    button.onclick = async () => {
      await copy(text());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    };
    return button;
  }));
  if (!data.paper) return;
  const print = made("Download PDF");
  print.title = "Opens the browser's printing; choose “Save as PDF”";
  print.onclick = () => window.print();
  row.append(print);
}
"""
_buttons = st.components.v2.component("copying", html="<div class='copies'></div>", css=_CSS, js=_JS)


def offer_copies(summary: str | None = None, *, paper: bool = False) -> None:
    """A button for the address of what is shown, and one for the summary with it.

    Args:
        paper: Offer printing, too: of containers whose key begins with "off_paper" nothing is printed.
    """
    with st.container(key="copy"):
        _buttons(data={"summary": summary, "paper": paper}, key="copies")
