"""What the tests stand on: a scriptable engine, faults on the wire, leak checks, processes."""
