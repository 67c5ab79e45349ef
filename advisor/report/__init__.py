"""Reports of a finished comparison. Every format is a pure function of plain data; `formats` lists them."""
