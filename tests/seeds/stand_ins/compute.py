"""Instead of numpy and aiofiles, which only the bodies of process tasks use: nothing calls them."""
