"""Reading data: readers, datasets, samplers, loaders and the provider above them."""
