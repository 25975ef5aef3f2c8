"""When things run: flows, their settings, presets and the command."""
