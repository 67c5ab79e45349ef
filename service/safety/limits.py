"""How much an upload may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Of one upload.

    Attributes:
        max_bytes: Of all files, unpacked.
        max_ratio: Unpacked over packed bytes of a file; files up to `free_bytes` may be packed as well as they can be.
        max_containers: JSON objects and lists, which take far more memory than the bytes that write them.
        max_line_bytes: Of a line of JSON.
    """

    max_files: int = 10_000
    max_bytes: int = 256 * 2**20
    max_ratio: int = 200
    free_bytes: int = 2**20
    max_containers: int = 5_000_000
    max_line_bytes: int = 16 * 2**20
    max_card_bytes: int = 64 * 2**10
