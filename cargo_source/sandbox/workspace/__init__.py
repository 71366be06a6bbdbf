"""What the sandbox's workspace holds, and how it lives: entities, rows, history, and the passing of time."""
