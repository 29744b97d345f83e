"""The extra `[ml]`: libraries that not every lakehouse has.

Belongs here: importing them when they are needed, and the sentence that says what to install.
"""

from importlib import import_module
from types import ModuleType

from runtime.errors import PlatformError


def ml_module(name: str) -> ModuleType:
    """A module of scikit-learn, skl2onnx or onnxruntime. Raises PlatformError where the extra is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise PlatformError(
            f"Models need {error.name or name}, which is not installed: pip install 'iot-lakehouse[ml]'."
        ) from error
