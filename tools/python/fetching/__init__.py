"""What tools/fetch_model.py and tools/fetch_data.py are made of: downloads, checksums, conversion."""
