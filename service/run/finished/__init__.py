"""What is done with a finished comparison: its arms asked, its freshness measured, its decision checked again."""
