"""The `telltale` command: one module per subcommand."""
