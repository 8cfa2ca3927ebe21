"""The napari side: reader, writer, sample data, layers and forms. Nothing else imports Qt."""
