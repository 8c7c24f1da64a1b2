# ✅ Use AsyncTask for I/O-bound work (API calls, DB, files)
class FetchAPI(AsyncTask[dict]):
    async def execute(self) -> dict:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).json()

# ⚠️ Use SyncTask for moderate CPU or blocking libs
class ParseCSV(SyncTask[list]):
    def execute(self) -> list:
        import pandas as pd
        df = pd.read_csv(self.path)
        return df.to_dict('records')

# 🚀 Use SyncProcessTask for heavy CPU work (>80% utilization)
class TrainModel(SyncProcessTask[float]):
    def execute(self) -> float:
        import numpy as np
        # Heavy matrix operations bypass GIL
        result = np.linalg.inv(large_matrix @ large_matrix.T)
        return float(np.trace(result))
