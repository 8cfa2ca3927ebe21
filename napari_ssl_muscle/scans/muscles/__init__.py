"""Muscles: their names, their tables and the files of these tables, in one place to import."""

from napari_ssl_muscle.scans.muscles.names import (
    Region,
    Side,
    colour_of,
    side_of,
    split_side,
    standard_name,
)
from napari_ssl_muscle.scans.muscles.table import (
    Muscle,
    MuscleTable,
    default_table,
    present_values,
    table_by_values,
)
from napari_ssl_muscle.scans.muscles.table_files import (
    find_table,
    itksnap_text,
    read_table,
    table_beside,
    tsv_text,
    write_itksnap,
    write_tsv,
)
from napari_ssl_muscle.scans.muscles.table_mark import table_mark

__all__ = [
    "Muscle",
    "MuscleTable",
    "Region",
    "Side",
    "colour_of",
    "default_table",
    "find_table",
    "itksnap_text",
    "present_values",
    "read_table",
    "side_of",
    "split_side",
    "standard_name",
    "table_beside",
    "table_by_values",
    "table_mark",
    "tsv_text",
    "write_itksnap",
    "write_tsv",
]
