"""Values, geometry, contracts of plug-ins, registry, settings, files and errors."""
