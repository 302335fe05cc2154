"""The keys of the config file, and how configs are read, shown and written."""
