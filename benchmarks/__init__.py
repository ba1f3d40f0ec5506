"""What the documents claim about speed and quality, each a command that measures us and the peers side by side."""
