# Example 1: ML Model Inference (Sync)
class RunInference(SyncProcessTask[dict]):
    """Run ML model inference in isolated process."""
    queue = "ml-inference"
    timeout = 300

    def __init__(self, model_path: str, input_data: list[float], **kwargs):
        super().__init__(**kwargs)
        self.model_path = model_path
        self.input_data = input_data

    def execute(self) -> dict:
        import numpy as np
        import joblib

        # Load model
        model = joblib.load(self.model_path)

        # Heavy CPU computation
        predictions = model.predict(np.array(self.input_data))

        return {
            "predictions": predictions.tolist(),
            "confidence": float(np.mean(predictions))
        }

# Example 2: Image Processing with PIL (Sync)
class ProcessImageBatch(SyncProcessTask[list[str]]):
    """Process batch of images in separate process."""
    queue = "image-processing"

    def __init__(self, image_paths: list[str], **kwargs):
        super().__init__(**kwargs)
        self.image_paths = image_paths

    def execute(self) -> list[str]:
        from PIL import Image, ImageFilter

        output_paths = []
        for path in self.image_paths:
            img = Image.open(path)
            # CPU-intensive filters
            img = img.filter(ImageFilter.SHARPEN)
            img = img.filter(ImageFilter.EDGE_ENHANCE)
            output = path.replace('.jpg', '_processed.jpg')
            img.save(output, quality=95)
            output_paths.append(output)

        return output_paths

# Example 3: Data Encryption (Sync)
class EncryptData(SyncProcessTask[bytes]):
    """Encrypt large data in separate process."""
    queue = "encryption"

    def __init__(self, data: bytes, key: bytes, **kwargs):
        super().__init__(**kwargs)
        self.data = data
        self.key = key

    def execute(self) -> bytes:
        from cryptography.fernet import Fernet

        # CPU-intensive encryption
        cipher = Fernet(self.key)
        encrypted = cipher.encrypt(self.data)

        return encrypted
