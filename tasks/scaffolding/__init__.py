"""A product's first spec and suite, made from a file of rows: what `seatrial init` writes, for a person to edit.

`read` finds the rows, `choices` what each column may be used for, `fit` a model and limits that it keeps, and `text`
writes it down with comments.
"""
