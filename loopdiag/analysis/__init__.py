"""Pure functions from a recording to numbers: evidence, timelines, laws."""
