"""PowerPoint presentations: a slide is a page."""

import io
from collections.abc import Iterator
from typing import Any

from advisor.data.document_text import PAGE_BREAK
from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.packed import open_package
from advisor.data.loaders.plain import Loaded, UnreadableFileError


def pptx(data: bytes) -> Loaded:
    """Titles, texts, tables and notes of all slides that are shown."""
    open_package(data, "ppt/presentation.xml")
    from pptx import Presentation

    slides = list(Presentation(io.BytesIO(data)).slides)
    pages = [join_blocks(list(_blocks(slide, i == 0))) for i, slide in enumerate(slides)]
    if not any(pages):
        raise UnreadableFileError("it holds no text; if its slides are pictures, recognise them first")
    empty = sum(not page for page in pages)
    notes = (f"{empty} of {len(pages)} slides hold no text; pictures are not read",) if empty else ()
    return Loaded(f"\n{PAGE_BREAK}\n".join(pages), notes=notes)


def _blocks(slide: Any, is_first: bool) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None:
        yield heading(1 if is_first else 2, title.text_frame.text)
    for shape in slide.shapes:
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape_blocks(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        said = slide.notes_slide.notes_text_frame.text.strip()
        yield f"Notes: {said}" if said else ""


def _shape_blocks(shape: Any) -> Iterator[str]:
    if hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape_blocks(inner)
    elif getattr(shape, "has_table", False):
        yield table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame:
        said = [(one.level, one.text.replace("\v", "\n").strip()) for one in shape.text_frame.paragraphs]
        said = [(level, text) for level, text in said if text]
        if len(said) > 1:
            yield "\n".join(f"{'  ' * level}- {text}" for level, text in said)
        elif said:
            yield paragraph(said[0][1])
