"""A product's first spec and suite, made from a file of rows: what `seatrial init` writes, for a person to edit.

`read_rows` finds the rows, `column_roles` what each column may be used for, `baseline_model` a model and limits that it
keeps, and `spec_text` writes it down with comments.
"""
