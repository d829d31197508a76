"""What is counted: numbers in shared memory, and what a scrape makes of them."""
