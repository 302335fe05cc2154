"""The command line: commands, their options, the console, progress and reports."""
