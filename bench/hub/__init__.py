"""Files of the model and dataset hubs: fetched once, checked, found again offline."""
