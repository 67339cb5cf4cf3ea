"""What breaks, and what the client makes of it: networks, peers, consumers and processes."""
