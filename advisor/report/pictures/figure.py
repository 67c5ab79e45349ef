"""What a picture is."""

from dataclasses import dataclass

from advisor.report.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture.

    Attributes:
        name: Stable, fit for a file name or an element id.
        title: What is shown; description: what to look for.
        svg: A complete `svg` element without scripts, links or outside fonts.
        table: The numbers drawn.
    """

    name: str
    title: str
    description: str
    svg: str
    table: Table
