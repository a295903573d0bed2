"""What translators fit: models as objects with the parameters that they have, and their training.

Every model is an object of plain parameters with the same few methods; a fit gives a frozen
dataclass that predicts and that a file can hold.
"""

import lazy_loader

# Names stand in __init__.pyi, and are loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
