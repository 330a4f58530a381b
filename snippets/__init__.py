"""The code that the guides show, the notebooks import and the downloads carry."""
