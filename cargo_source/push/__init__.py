"""From a table to a Cargo model: planned, shown, applied, and remembered."""
