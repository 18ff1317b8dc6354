"""Who introduced the defect: SZZ as pure functions over texts, hunks and blame, without git.

`fixes` tells which commits fix something and why; `source` and `hunks` which lines of a fix
matter; `evidence` gathers the candidates; `ranking` chooses among them.
"""
