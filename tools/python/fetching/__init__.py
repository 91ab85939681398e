"""Downloads, checksums and conversion: what tools/fetch_model.py and fetch_data.py are made of."""
