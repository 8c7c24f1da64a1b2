from asynctasq.utils.loop import run as uv_run
