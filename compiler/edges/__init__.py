"""What a set of edges is: its kinds, its algebra, its degrees; numpy alone, no syntax."""
