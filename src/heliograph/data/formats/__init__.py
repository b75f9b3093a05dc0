"""Files to records, lazily: CSV, TSV, SMI, Parquet, SDF, XYZ and extended XYZ, plain or gzipped, and the shipped sets.

    table = read("delaney.csv.gz", target_columns=["logS"])
    for record in table: ...

One `Record` per row, whatever the row holds. A row that can't be read has no structure and a reason `kind: detail, line N`.
"""

from heliograph.data.formats.reader import KINDS, read
from heliograph.data.formats.table import MISSING, Table, as_number, is_missing

__all__ = ["KINDS", "MISSING", "Table", "as_number", "is_missing", "read"]
