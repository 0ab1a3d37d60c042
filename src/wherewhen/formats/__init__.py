"""Other tools' file formats, one file each."""
