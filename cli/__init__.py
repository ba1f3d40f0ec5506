"""The command line behind run.py: parser, commands, display, summary."""
