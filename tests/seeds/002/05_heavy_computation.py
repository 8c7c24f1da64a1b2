@task(process=True)  # Runs in ProcessPoolExecutor
def heavy_computation(data: list[float]):
    import numpy as np
    return np.fft.fft(data)  # CPU-intensive work
