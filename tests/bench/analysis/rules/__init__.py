"""What other tools decide by, reimplemented from their sources so that all judge the same traffic."""
